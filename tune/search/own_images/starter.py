"""A search of the user's own images, with a budget for this machine, as a YAML file with comments."""

from __future__ import annotations

import dataclasses
import math
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data.files import cores
from data.folder.survey import Survey, survey
from data.words import counted
from models.classifier_plan import possible_cnn_layers
from tune.errors import UserError
from tune.runs.auto import choose
from tune.search.feasible import middle
from tune.search.own_images.budget import EPOCHS, duration, fill_in_budget, resources
from tune.spec import SearchSpec, SpecError, load_search
from tune.spec.checks.images import data_root
from tune.spec.errors import Problem
from tune.spec.files import commented_yaml
from tune.spec.reading.overrides import read
from tune.training.speed import seconds_per_epoch

SIDES = (8, 16, 24, 28, 32, 48, 64, 96, 128)
LARGEST = {"cpu": 64, "cuda": 128}  # larger images make a search take days
TEST_SHARE = 0.2
_DRAWS = 9
_OF_THE_MACHINE = ("concurrent", "epoch_timeout", "resources", "scheduler", "time_budget", "trials")


@dataclass(frozen=True)
class Starter:
    """A file for `search`.

    Attributes:
        text: Its content.
        summary: What was found, in a few lines.
        images: What the folder holds.
        image_size: Side in pixels that images are resized to.
        trials: Number of trials.
        epochs: Of the longest trial.
        epoch_seconds: Of a model of middle size, measured here.
        seconds: That the search takes here, about.
    """

    text: str
    summary: tuple[str, ...]
    images: Survey
    image_size: int
    trials: int
    epochs: int
    epoch_seconds: float
    seconds: float


def starter(images: Path, like: str | None, name: str) -> Starter:
    """Write a search of a folder's images.

    Args:
        images: The folder, with a folder for each class, or with `train/` and `test/` above them.
        like: A space whose model, recipe and searched fields to take; by default the classifier's.
        name: Of the file, for its comments.

    Raises:
        data.DataError: The folder cannot be used.
        SpecError: `like` is no space, or cannot be used for these images.
        UserError: There are too few images.
    """
    found = survey(images)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side = _side(found, device)
    tree = _classifier(found, side) if like is None else _like(like, _batch_size(found))
    tree["experiment"]["data"] = _data(found, side) | tree["experiment"]["data"]
    judged = {} if "objectives" in tree["search"] else {"metric": "val_loss"}
    tree["search"] = {**judged, **tree["search"], **resources(device)}
    spec = _checked(tree, like or name)
    experiment = middle(spec, data_root())
    experiment = choose(experiment, (3, side, side), len(found.classes), device, most=1).applied(experiment)
    epoch = seconds_per_epoch(experiment, (3, side, side), len(found.classes), found.train_size, device)
    epochs, trials, seconds = fill_in_budget(tree, found, experiment, epoch, device)
    _checked(tree, like or name)
    summary = tuple(_summary(found, epoch, seconds, device))
    heading = [f"# {line}" for line in [*summary, f"Start it with: {shlex.join(['imagetune', 'search', name])}"]]
    text = "\n".join([*heading, *commented_yaml(tree, _comments(found, device, like)), ""])
    return Starter(text, summary, found, side, trials, epochs, epoch, seconds)


# -- what follows from the images


def _side(found: Survey, device: torch.device) -> int:
    """The largest usual side that at least half of the images have, and this machine trains in bearable time."""
    most = min(found.median_side, LARGEST[device.type])
    return max((side for side in SIDES if side <= most), default=SIDES[0])


def _data(found: Survey, side: int) -> dict[str, Any]:
    """The images and their split; every class keeps an image to train on."""
    size, classes = found.train_size, len(found.classes)
    share = 0.2 if size < 1_000 else 0.1
    if round(share * size) > size - classes:
        share = math.floor((size - classes) / size * 100) / 100
    if round(share * size) < 1:
        raise UserError(
            f"{found.root}: {counted(size, 'training image')} of {counted(classes, 'class')} leave none to compare "
            "trials on; add images, at least three of each class"
        )
    tree = {"name": "folder", "path": str(found.root), "image_size": side}
    return tree | ({} if found.divided else {"test_fraction": TEST_SHARE}) | {"validation_fraction": share}


def _batch_size(found: Survey) -> int:
    """Large for large data sets; with few images, some batches an epoch."""
    size = next(size for size, most in ((32, 2_000), (64, 20_000), (128, math.inf)) if found.train_size <= most)
    while 2 < size > found.train_size / 4:
        size //= 2
    return size


def _classifier(found: Survey, side: int) -> dict[str, Any]:
    """The parametric classifier and its recipe."""
    possible = possible_cnn_layers(side)
    depth = min(possible, key=lambda layers: abs(layers - math.log2(side / 2)))  # every stage halves the image
    shallow, deep = max(possible[0], depth - 1, 2), min(possible[-1], depth + 1)
    widest = 128 if len(found.classes) <= 50 else 256
    padding = max(1, side // 8)
    augment = [{}, {"crop": {"padding": padding}}, {"crop": {"padding": padding}, "cutout": {"size": side // 4}}]
    return {
        "experiment": {
            "data": {},
            "model": {"name": "classifier", "fcn_layers": 1},
            "training": {"epochs": EPOCHS[1], "batch_size": _batch_size(found), "schedule": {"name": "cosine"}},
        },
        "space": {
            "model.cnn_layers": {"int": [shallow, deep]},
            "model.starting_channels": {"int": [16, 32], "step": 8},
            "model.final_channels": {"int": [widest // 4, widest], "step": widest // 8},
            "model.residual": {"choice": [False, True]},
            "model.dropout": {"float": [0.0, 0.4], "step": 0.1},
            "training.optimizer.lr": {"float": [0.0003, 0.01], "log": True},
            "data.augment": {"choice": augment},
        },
        "search": {},
    }


def _like(name: str, batch_size: int) -> dict[str, Any]:
    """The sections of another space, without what belongs to its images and its machine."""
    loaded = read(name)
    if loaded.problems:
        raise SpecError(list(loaded.problems))
    sections = loaded.sections
    if not sections["space"]:
        raise SpecError([Problem("space", "has no searched field; use a space that has some", str(loaded.path))])
    given: dict[str, Any] = sections["experiment"]
    kept = {key: value for key, value in (given.get("data") or {}).items() if key in ("normalize", "augment")}
    training = (given.get("training") or {}) | {"epochs": EPOCHS[1]}
    if "training.batch_size" not in sections["space"]:
        training["batch_size"] = min(training.get("batch_size", batch_size), batch_size)
    experiment = {"data": kept} | {key: value for key, value in given.items() if key != "data"} | {"training": training}
    search = {key: value for key, value in sections["search"].items() if key not in _OF_THE_MACHINE}
    tree = {"experiment": experiment, "space": sections["space"]}
    return tree | {key: sections[key] for key in ("constraints", "first") if sections[key]} | {"search": search}


def _checked(tree: dict[str, Any], name: str) -> SearchSpec:
    """The search in a tree, read as it will be from its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(name).stem}.yaml"
        path.write_text("\n".join(commented_yaml(tree)), encoding="utf-8")
        try:
            return load_search(str(path), root=data_root())
        except SpecError as error:
            raise SpecError([dataclasses.replace(problem, file=name) for problem in error.problems]) from None


# -- the file


def _summary(found: Survey, epoch: float, seconds: float, device: torch.device) -> Iterator[str]:
    counts = found.train_counts
    small, large = min(found.sides), max(found.sides)
    size = f"{small}" if small == large else f"{small} to {large}"
    several = "" if min(counts) == max(counts) else f"{min(counts):,} to "
    each = f"{several}{counted(max(counts), 'training image')}"
    machine = counted(cores(), "CPU core")
    machine += f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ", no GPU"
    yield f"{counted(len(found.classes), 'class')} with {each} each;"
    yield f"the shorter sides have {size} pixels. On this machine ({machine}),"
    yield f"an epoch of a medium-sized model takes {duration(epoch)}, the whole search about {duration(seconds)}."


def _comments(found: Survey, device: torch.device, like: str | None) -> dict[str, str]:
    """A comment for each field that needs one, by its dotted name in the file."""
    return {
        "experiment.data.image_size": f"pixels; images are resized to squares (median of yours: {found.median_side})",
        "experiment.data.test_fraction": "set aside for `imagetune evaluate`; the search never sees these images",
        "experiment.data.validation_fraction": "of the training images; trials are compared on these",
        "experiment.training.epochs": "of trials that are not stopped early",
        "experiment.training.batch_size": "less if memory runs out",
        "space": "what is searched: a range or a choice of values for each field",
        "search.trials": "add more later: --extend N",
        "search.concurrent": "trials at the same time" + (", two on each GPU" if device.type == "cuda" else ""),
        "search.scheduler": "pauses all trials early, and continues the best",
        "search.retention": "trials whose weights are kept",
    } | (_OF_THE_CLASSIFIER if like is None else {})


_OF_THE_CLASSIFIER = {
    "space.model.cnn_layers": "stages, each of which shrinks the image",
    "space.data.augment": "add `flip: {}` to each if a mirrored image is still of its class",
}
