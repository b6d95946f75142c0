"""Evaluate a run's model on a split it was not chosen by. Nothing else reads the test split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

import data
import models
from data.words import counted, quoted, shortened
from tune.errors import UserError
from tune.evaluation import classification, reconstruction
from tune.evaluation.files import Output
from tune.evaluation.result import MOST_TILES, Evaluator, Extras
from tune.record.folder import RunFolder
from tune.record.same_data import UNRECORDED, check_same_data
from tune.runs.curves import write_curves
from tune.runs.run import best_device
from tune.runs.weights import TrainedRun, open_run
from tune.training import Splits, open_splits

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
        corruptions: As in `corruptions.json`, if they were asked for.
        unsaved: Why the files could not be written, if they could not.
    """

    scores: dict[str, Any]
    files: tuple[Path, ...]
    corruptions: dict[str, Any] | None = None
    unsaved: OSError | None = None


def evaluate(
    folder: RunFolder,
    split: SplitName,
    root: Path,
    say: Say,
    extras: Extras = Extras(),  # noqa: B008  (frozen)
    path: str | None = None,
) -> Evaluation:
    """Evaluate the best weights of a run, and write scores, predictions and figures into its folder.

    The files of the test split have the plain names; those of other splits end in the split's name. If the folder
    cannot be written to, the scores are returned all the same.

    Args:
        folder: The run's.
        split: Which images.
        root: The data directory, as torchvision's `root`.
        say: Called with a line about anything slow or unexpected.
        extras: What is measured and drawn on request.
        path: Where the images are now, if they were moved since the training.

    Raises:
        UserError: The run has no weights or no such split, the images are not those it was trained on, or its model
            cannot do what is asked for.
        CheckpointError: The weights are damaged.
        data.DataError: The images cannot be read.
    """
    from tune.drawing import cover  # imports matplotlib

    run = open_run(folder, best_device(), path)
    name = run.experiment.model.name
    task = models.get(name).task
    _check_task(run, name, task, extras)
    found = _open(run, split, root, _once(say))
    _check_room(extras, len(found.images), split)
    title = f"{run.folder.name} on {run.experiment.data.label} ({split})"
    result = _EVALUATORS[task](run, found.images, found.validation, title, extras)
    scores = {"split": split, "epoch": run.epoch, **result.scores}
    if split != "test":  # reading the test set has reported it
        _tell_missing_classes(split, scores.get("per_class", ()), say)
    if extras.mistakes is not None and "mistakes" not in result.figures:
        say("there are no mistakes to draw")
    if missing := cover("".join([title, *run.info.classes])):
        say(f"no installed font has {missing[:20]}: figures show boxes instead; install one, such as Noto Sans CJK")
    output = Output(folder, split, say)
    files = {} if found.files is None else {"file": [found.files[index] for index in result.table["index"]]}
    output.table(result.table.assign(**files))
    output.document(folder.evaluation, scores)
    for figure, draw in result.figures.items():
        output.figure(figure, draw)
    if output.error is None:
        write_curves(folder, say)  # of runs that were interrupted, or trained by an earlier version
    corrupted = _corruptions(run, found.images, scores, title, output) if extras.corruptions else None
    return Evaluation(scores, tuple(output.files), corrupted, output.error)


def _check_task(run: TrainedRun, name: str, task: str, extras: Extras) -> None:
    asked = {
        **{"--mistakes": extras.mistakes is not None, "--corruptions": extras.corruptions},
        "--test-time-averaging": extras.averaging,
    }
    for option in (option for option, given in asked.items() if given and task != "classification"):
        raise UserError(f"{option} is for classifiers; {run.folder.path} is a {name}, a model for {task}")


def _check_room(extras: Extras, images: int, split: SplitName) -> None:
    if (grid := extras.predictions) is not None and (cells := grid[0] * grid[1]) > images:
        raise UserError(
            f"--predictions {grid[0]}x{grid[1]} is {cells:,} images, but the {split} split has {images:,}; use fewer"
        )
    for option, grid in (("--predictions", extras.predictions), ("--mistakes", extras.mistakes)):
        if grid is not None and (cells := grid[0] * grid[1]) > MOST_TILES:
            raise UserError(f"{option} {grid[0]}x{grid[1]} is {cells:,} images; use at most {MOST_TILES}")


def _once(say: Say) -> Say:
    """Says each line once: notes on a folder of images come with each of its splits."""
    said = set[str]()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    return tell


def _corruptions(
    run: TrainedRun, images: data.Resident, scores: Mapping[str, Any], title: str, output: Output
) -> dict[str, Any]:
    from tune.evaluation import corruptions, figures

    rows = corruptions.measure(classification.classifier_of(run), images, len(run.info.classes), output.say)
    mean = math.fsum(row["accuracy"] for row in rows) / len(rows)
    found = {**{key: scores[key] for key in ("split", "epoch", "n", "accuracy")}, "mean_accuracy": mean}
    found["corruptions"] = rows
    output.document(run.folder.path / "corruptions.json", found)
    output.figure("corruptions", lambda: figures.corruptions(rows, scores["accuracy"], f"{title}: corrupted images"))
    return found


def _tell_missing_classes(split: SplitName, per_class: Sequence[Mapping[str, Any]], say: Say) -> None:
    missing = [row["name"] for row in per_class if row["n"] == 0]
    if missing:
        names = shortened(map(quoted, missing), 10)
        say(f"the {split} split has no images of {len(missing):,} of {counted(len(per_class), 'class')}: {names}")


def images_of(run: TrainedRun, split: SplitName, root: Path, say: Say) -> data.Resident:
    """The images of a split on the CPU, normalized as in training.

    Raises:
        UserError: The run has no such split, or the images are not the ones it was trained on.
    """
    _check_identity(run, root, say)
    if split == "test":
        if run.info.data == UNRECORDED:
            _splits(run, root, say)
        return _test(run, root, say)[0]
    return _part(run, split, _splits(run, root, say))


@dataclass(frozen=True)
class _Images:
    """What an evaluation needs: the images, those to calibrate by if there are any, and where the images come from.

    `files` are paths below the user's folder by the images' index; None for other data sets.
    """

    images: data.Resident
    validation: data.Resident | None
    files: Sequence[str] | None


def _open(run: TrainedRun, split: SplitName, root: Path, say: Say) -> _Images:
    _check_identity(run, root, say)
    splits = _splits(run, root, say)
    images, files = _test(run, root, say) if split == "test" else (_part(run, split, splits), splits.files)
    return _Images(images, None if splits.validation is None else _part(run, "validation", splits), files)


def _check_identity(run: TrainedRun, root: Path, say: Say) -> None:
    spec = run.experiment.data
    check_same_data(run.folder.path, run.info.data, data.identify(spec.source, root, say), spec.path, say)


def _splits(run: TrainedRun, root: Path, say: Say) -> Splits:
    info = run.info
    splits = open_splits(run.experiment.data, root, torch.device("cpu"), full=info.full, say=say)
    _require_same("classes", info.classes, splits.classes, run)
    _require_same("image size", info.input_shape, splits.input_shape, run)
    _require_same("split", info.split_hash, splits.split_hash, run)
    return splits


def _test(run: TrainedRun, root: Path, say: Say) -> tuple[data.Resident, Sequence[str] | None]:
    test = data.load_test(run.experiment.data.source, root, say=say)
    if not len(test.labels):
        place = run.experiment.data.path
        raise UserError(f"{run.folder.path}: there are no test images in {place}; use --split train")
    return data.Resident(test.images, test.labels, normalization=_normalization(run)), test.files


def _part(run: TrainedRun, split: SplitName, splits: Splits) -> data.Resident:
    part = splits.train if split == "train" else splits.validation
    if part is None:
        why = "it was trained on them" if run.info.full else "data.validation_fraction was 0"
        raise UserError(f"{run.folder.path} has no validation images: {why}; use --split test or --split train")
    return data.Resident(part.images, part.labels, part.index, normalization=_normalization(run))


def _normalization(run: TrainedRun) -> data.Normalization:
    return data.Normalization(run.info.normalization.mean, run.info.normalization.std)


def _require_same(what: str, then: object, now: object, run: TrainedRun) -> None:
    if then != now:
        raise UserError(
            f"{run.folder.path}: the {what} of {run.experiment.data.name} changed since the training: "
            f"{_short(then)} then, {_short(now)} now; restore the images, or use data.path=FOLDER"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
