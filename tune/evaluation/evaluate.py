"""Evaluate a run's model on a split it was not chosen by. Nothing else reads the test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

import data
import models
from tune.errors import UserError
from tune.evaluation import classification, reconstruction
from tune.evaluation.result import EvaluationResult, Evaluator, Grid
from tune.files import write_whole
from tune.json_output import json_text
from tune.record.folder import RunFolder
from tune.record.same_data import UNRECORDED, check_same_data
from tune.record.tables import to_parquet
from tune.runs.run import best_device
from tune.runs.weights import TrainedRun, open_run
from tune.training import open_splits

SplitName = Literal["test", "validation", "train"]
Say = Callable[[str], None]

_EVALUATORS: dict[str, Evaluator] = {
    "classification": classification.evaluate,
    "reconstruction": reconstruction.evaluate,
}


@dataclass(frozen=True)
class Evaluation:
    """The scores of a run on a split.

    Attributes:
        scores: As in `evaluation.json`.
        files: The files written.
    """

    scores: dict[str, Any]
    files: tuple[Path, ...]


def evaluate(
    folder: RunFolder, split: SplitName, root: Path, say: Say, grid: Grid | None = None, path: str | None = None
) -> Evaluation:
    """Evaluate the best weights of a run, and write scores, predictions and figures into its folder.

    The files of the test split have the plain names; those of other splits end in the split's name.

    Args:
        folder: The run's.
        split: Which images.
        root: The data directory, as torchvision's `root`.
        say: Told of everything slow or unexpected.
        grid: Rows and columns of a picture of images with their predictions; None leaves it to the task.
        path: Where the images are now, if they were moved since the training.

    Raises:
        UserError: The run has no weights or no such split, or the images are not those it was trained on.
        CheckpointError: The weights are damaged.
        data.DataError: The images cannot be read.
    """
    run = open_run(folder, best_device(), path)
    images = images_of(run, split, root, say)
    if grid is not None and grid[0] * grid[1] > len(images):
        raise UserError(f"a grid of {grid[0]} x {grid[1]} is more than the {len(images):,} images of the {split} split")
    title = f"{run.folder.path.name} on {run.experiment.data.name} ({split})"
    result = _EVALUATORS[models.get(run.experiment.model.name).task](run, images, title, grid)
    scores = {"split": split, **result.scores}
    if split != "test":  # reading the test part has told
        _tell_missing_classes(split, scores.get("per_class", ()), say)
    return Evaluation(scores, tuple(_write(run, split, scores, result, say)))


def _tell_missing_classes(split: SplitName, per_class: Sequence[Mapping[str, Any]], say: Say) -> None:
    missing = [row["name"] for row in per_class if row["n"] == 0]
    if missing:
        names = ", ".join(map(repr, missing[:10])) + (", ..." if len(missing) > 10 else "")
        say(f"the {split} split has no images of {len(missing):,} of {len(per_class):,} classes: {names}")


def images_of(run: TrainedRun, split: SplitName, root: Path, say: Say) -> data.Resident:
    """The images of a split on the CPU, normalized as in training.

    Raises:
        UserError: The run has no such split, or the images are not the ones it was trained on.
    """
    spec, info = run.experiment.data, run.info
    normalization = data.Normalization(info.normalization.mean, info.normalization.std)
    check_same_data(run.folder.path, info.data, data.identify(spec.source, root, say), spec.path, say)
    if split != "test" or info.data == UNRECORDED:
        splits = open_splits(spec, root, torch.device("cpu"), full=info.full, say=say)
        _require_same("classes", info.classes, splits.classes, run)
        _require_same("image size", info.input_shape, splits.input_shape, run)
        _require_same("split", info.split_hash, splits.split_hash, run)
    if split == "test":
        test = data.load_test(spec.source, root, say=say)
        if not len(test.labels):
            raise UserError(f"{run.folder.path}: there are no test images in {spec.path}; use --split train")
        return data.Resident(test.images, test.labels, normalization=normalization)
    part = splits.train if split == "train" else splits.validation
    if part is None:
        why = "it was trained on them" if info.full else "data.validation_fraction was 0"
        raise UserError(f"{run.folder.path} has no validation images: {why}; use --split test or --split train")
    return data.Resident(part.images, part.labels, part.index, normalization=normalization)


def _require_same(what: str, then: object, now: object, run: TrainedRun) -> None:
    if then != now:
        raise UserError(
            f"{run.folder.path}: the {what} of {run.experiment.data.name} changed since the training: "
            f"{_short(then)} then, {_short(now)} now; restore the images, or use data.path=FOLDER"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _write(run: TrainedRun, split: SplitName, scores: dict[str, Any], result: EvaluationResult, say: Say) -> list[Path]:
    """Write the numbers, then what can be drawn of them."""
    folder, suffix = run.folder, "" if split == "test" else f"-{split}"

    def write(path: Path, content: bytes) -> Path:
        path = path.with_name(f"{path.stem}{suffix}{path.suffix}")
        write_whole(path, content)
        return path

    # evaluation.json after the table: where it exists, the table does too.
    files = [
        write(folder.predictions, to_parquet(result.table)),
        write(folder.evaluation, f"{json_text(scores)}\n".encode()),
    ]
    for name, draw in result.figures.items():
        try:
            picture = draw()
        except Exception as error:  # whatever happens in a drawing library: the numbers are there
            say(f"could not draw {name}.png ({type(error).__name__}: {error}); the numbers are saved")
        else:
            files.append(write(folder.figures / f"{name}.png", picture))
    return files
