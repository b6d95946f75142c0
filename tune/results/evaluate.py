"""Judge a run's model on a split it was not chosen by. Nothing else reads the test split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch

import data
from tune.errors import UserError
from tune.record.layout import RunFolder, write_whole
from tune.record.table import to_parquet
from tune.results import figures
from tune.results.document import json_text
from tune.results.run import best_device
from tune.results.scores import Predictions, score
from tune.results.weights import TrainedRun, open_run
from tune.spec.experiment import DataSpec
from tune.training import autocast, cpu_threads, open_splits

SplitName = Literal["test", "validation", "train"]
Say = Callable[[str], None]

BATCH_NUMBERS = 2**18  # pixels x channels in a batch: what a CPU's caches hold; a GPU is busy enough with it


@dataclass(frozen=True)
class Evaluation:
    """What was found, and where it is written.

    Attributes:
        scores: As in `evaluation.json`.
        files: Those written.
    """

    scores: dict[str, Any]
    files: tuple[Path, ...]


def evaluate(
    folder: RunFolder, split: SplitName, root: Path, say: Say, grid: tuple[int, int] | None = None
) -> Evaluation:
    """Judge the best weights of a run, and write scores, predictions and figures into its folder.

    The files of the test split have the plain names; those of the others carry the split's.

    Args:
        folder: Of the run.
        split: Which images.
        root: The data directory, as torchvision's `root`.
        say: Told of everything slow or unexpected.
        grid: Rows and columns of a picture of predictions; None for no such picture.

    Raises:
        UserError: The run has no weights or no such split, or the images are not those it was trained on.
        CheckpointError: The weights are damaged.
        data.DataError: The images cannot be had.
    """
    run = open_run(folder, best_device())
    images = _images(run, split, root, say)
    if grid is not None and grid[0] * grid[1] > len(images):
        raise UserError(f"a grid of {grid[0]} x {grid[1]} is more than the {len(images):,} images of the {split} split")
    predictions = predict(run, images)
    scores = {"split": split, **score(predictions)}
    return Evaluation(scores, _write(run, split, scores, predictions, images, grid))


def predict(run: TrainedRun, images: data.Resident) -> Predictions:
    """What a run's model says of images on the CPU: in evaluation mode, and in the precision it was trained in."""
    device = next(run.model.parameters()).device
    spec = run.experiment.training
    _, channels, height, width = images.images.shape
    batch_size = max(1, BATCH_NUMBERS // (channels * height * width))
    logits, labels = [], []
    with torch.inference_mode(), cpu_threads(spec.threads or torch.get_num_threads()):
        for batch, truth in images.batches(batch_size):
            with autocast(spec, device):
                logits.append(run.model(batch.to(device)).float().cpu())
            labels.append(truth)
    index = images.index if images.index is not None else torch.arange(len(images))
    return Predictions(torch.cat(logits), torch.cat(labels), index, run.info.classes)


def _images(run: TrainedRun, split: SplitName, root: Path, say: Say) -> data.Resident:
    """The images of a split on the CPU, normalized as in training.

    Raises:
        UserError: the run has no such split, or the images are not those it was trained on.
    """
    spec, info = run.experiment.data, run.info
    normalization = data.Normalization(info.normalization.mean, info.normalization.std)
    if split != "test" or _test_is_carved(spec):
        splits = open_splits(spec, root, torch.device("cpu"), full=info.full, say=say)
        _require_same("classes", info.classes, splits.classes, run)
        _require_same("split", info.split_hash, splits.split_hash, run)
    if split == "test":
        test = data.load_test(spec.source, root, say=say)
        _require_same("classes", info.classes, test.classes, run)
        _require_same("image size", info.input_shape, tuple(test.images.shape[1:]), run)
        return data.Resident(test.images, test.labels, normalization=normalization)
    part = splits.train if split == "train" else splits.validation
    if part is None:
        why = "it was trained on them" if info.full else "data.validation_fraction was 0"
        raise UserError(f"{run.folder.path} has no validation images: {why}; legal: --split test, --split train")
    return data.Resident(part.images, part.labels, part.index, normalization=normalization)


def _test_is_carved(spec: DataSpec) -> bool:
    """Whether the test part is drawn from the same images as the train part.

    After a change of those, an image that was trained on may be in the test part.
    """
    return spec.path is not None and not all((Path(spec.path) / part).is_dir() for part in ("train", "test"))


def _require_same(what: str, then: object, now: object, run: TrainedRun) -> None:
    if then != now:
        raise UserError(
            f"{run.folder.path}: the {what} of {run.experiment.data.name} changed since the training: "
            f"{_short(then)} then, {_short(now)} now; legal: the images it was trained on"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _write(
    run: TrainedRun,
    split: SplitName,
    scores: dict[str, Any],
    predictions: Predictions,
    images: data.Resident,
    grid: tuple[int, int] | None,
) -> tuple[Path, ...]:
    folder, suffix = run.folder, "" if split == "test" else f"-{split}"
    contents = {
        folder.predictions: to_parquet(predictions_table(predictions)),
        folder.path / "figures" / "confusion.png": figures.confusion(
            scores["confusion"], run.info.classes, _title(run, split, scores)
        ),
    }
    if grid is not None:
        contents[folder.path / "figures" / "predictions.png"] = figures.prediction_grid(predictions, images, grid)
    # Last, so that whoever finds it finds the others.
    contents[folder.evaluation] = f"{json_text(scores)}\n".encode()
    files = {path.with_name(f"{path.stem}{suffix}{path.suffix}"): content for path, content in contents.items()}
    for path, content in files.items():
        write_whole(path, content)
    return tuple(files)


def _title(run: TrainedRun, split: SplitName, scores: dict[str, Any]) -> str:
    data_name = run.experiment.data.name
    return f"{run.folder.path.name} on {data_name} ({split}): accuracy {100 * scores['accuracy']:.2f} %"


def predictions_table(predictions: Predictions) -> pd.DataFrame:
    """One row per image: where it is, what it is, what it was taken for, and how surely."""
    probabilities, predicted, labels = predictions.probabilities, predictions.predicted, predictions.labels
    return pd.DataFrame(
        {
            "index": predictions.index.numpy(),
            "label": labels.numpy(),
            "predicted": predicted.numpy(),
            "probability": probabilities.gather(1, predicted[:, None])[:, 0].numpy(),
            "label_probability": probabilities.gather(1, labels[:, None])[:, 0].numpy(),
            "label_name": [predictions.classes[label] for label in labels.tolist()],
            "predicted_name": [predictions.classes[label] for label in predicted.tolist()],
        }
    )
