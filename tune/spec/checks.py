"""What the fields of a specification can only be told wrong together, with the data's shape and the model's plan."""

from __future__ import annotations

import os
from pathlib import Path

import data
import models
from tune.spec.errors import Problem
from tune.spec.experiment import DataSpec, Experiment, ModelSpec, TrainingSpec
from tune.spec.search import SearchSpec


def data_root(root: Path | None = None) -> Path:
    """The data directory (torchvision's `root`): the one given, else $IMAGETUNE_DATA, else the user's cache folder."""
    if root is not None:
        return root
    if given := os.environ.get("IMAGETUNE_DATA"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imagetune" / "data"


def inspect_data(spec: DataSpec, root: Path | None = None) -> data.DatasetInfo:
    """Shape, classes and number of training images, without decoding any.

    Raises:
        data.DataError: the folder is missing, or not one folder per class.
    """
    return data.inspect(spec.source, data_root(root))


def check_experiment(experiment: Experiment, info: data.DatasetInfo) -> list[Problem]:
    """What is impossible about a well-formed experiment: its plan on these images, a batch larger than the set."""
    return check_parts(experiment.data, experiment.model, experiment.training, info)


def check_parts(
    spec: DataSpec, model: ModelSpec | None, training: TrainingSpec | None, info: data.DatasetInfo
) -> list[Problem]:
    """The same for the sections that are well formed, so that one faulty section does not hide faults of the others."""
    problems = _normalization_problems(spec, info)
    if training is not None:
        problems += _size_problems(spec, training, info)
    if model is not None:
        try:
            models.check(model.name, info.input_shape, len(info.classes), **model.options())
        except models.ModelError as error:
            problems.append(Problem("model", str(error)))
    return problems


def _normalization_problems(spec: DataSpec, info: data.DatasetInfo) -> list[Problem]:
    channels = info.input_shape[0]
    if isinstance(spec.normalize, str) or len(spec.normalize.mean) in (1, channels):
        return []
    return [Problem("data.normalize", f"the images have {channels} channels; legal: one value or {channels} of mean and of std")]


def _size_problems(spec: DataSpec, training: TrainingSpec, info: data.DatasetInfo) -> list[Problem]:
    problems = []
    if spec.validation_fraction == 0 and training.early_stopping is not None:
        message = "0 leaves nothing to judge early stopping by; legal: > 0, or no training.early_stopping"
        problems.append(Problem("data.validation_fraction", message))
    if info.train_size is not None:
        left = info.train_size - round(info.train_size * spec.validation_fraction)
        if spec.train_limit is not None and spec.train_limit > left:
            problems.append(
                Problem("data.train_limit", f"{spec.train_limit} of {left} training images; legal: <= {left}")
            )
        left = min(left, spec.train_limit or left)
        if training.batch_size > left:
            message = f"{training.batch_size} is larger than the training set of {left} images; legal: <= {left}"
            problems.append(Problem("training.batch_size", message))
    return problems


def check_search(spec: SearchSpec) -> list[Problem]:
    """What is impossible about a well-formed search."""
    settings, scheduler, sample = spec.search, spec.search.scheduler, spec.sample
    problems = []
    longest = min(sample.training.epochs, scheduler.max_t or sample.training.epochs)
    if scheduler.name == "asha" and "training.epochs" not in spec.space.domains and scheduler.grace_period > longest:
        message = f"{scheduler.grace_period} is above the {longest} epochs that a trial has; legal: <= {longest}"
        problems.append(Problem("search.scheduler.grace_period", message))
    if sample.data.validation_fraction == 0 and settings.metric.startswith("val_"):
        problems.append(Problem("search.metric", f"{settings.metric} needs data.validation_fraction > 0"))
    if not spec.space.domains:
        problems.append(Problem("space", "has no free field; legal: at least one, or `train` the experiment"))
    return problems
