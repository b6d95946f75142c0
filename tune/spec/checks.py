"""What the fields of a specification can only be told wrong together, with the data's shape and the model's plan."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import data
import models
from search_spaces import Space
from tune.spec.errors import Problem
from tune.spec.experiment import DataSpec, Experiment, ModelSpec, TrainingSpec
from tune.spec.pydantic_errors import validated
from tune.spec.search import ConstraintsSpec, SchedulerSpec, SearchSettings
from tune.spec.tasks import OWN_FIELDS, metrics_of

Look = Callable[[DataSpec], data.DatasetInfo]
"""How the shape, classes and size of a data set are come by; raises `data.DataError`."""

_SECTIONS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(Experiment.model_fields[name].rebuild_annotation()) for name in ("data", "model", "training")
}


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


def looker(root: Path | None) -> Look:
    """`inspect_data` that looks at each data set once."""
    return lru_cache(maxsize=64)(lambda spec: inspect_data(spec, root))


def check_tree(tree: Mapping[str, Any], look: Look | None) -> tuple[Experiment | None, list[Problem]]:
    """The experiment in a tree, and all that is wrong with it: faults of one section hide none of the others.

    Without `look`, what depends on the images is not checked.
    """
    experiment, problems = validated(Experiment, tree)
    spec, model, training = (
        getattr(experiment, name) if experiment else _sound(kind, tree.get(name, {}))
        for name, kind in _SECTIONS.items()
    )
    if spec is not None and look is not None:
        try:
            problems += check_parts(spec, model, training, look(spec))
        except data.DataError as error:
            field = "data.path" if spec.name == "folder" else "data"
            problems.append(Problem(field, str(error).removeprefix("data.path ")))
    return experiment, problems


def _sound(kind: TypeAdapter[Any], tree: Any) -> Any:
    try:
        return kind.validate_python(tree)
    except ValidationError:
        return None


def check_experiment(experiment: Experiment, info: data.DatasetInfo) -> list[Problem]:
    """What is impossible about a well-formed experiment: its plan on these images, a batch larger than the set."""
    return check_parts(experiment.data, experiment.model, experiment.training, info)


def check_parts(
    spec: DataSpec, model: ModelSpec | None, training: TrainingSpec | None, info: data.DatasetInfo
) -> list[Problem]:
    """The same for the sections that are well formed."""
    problems = [*_normalization_problems(spec, info), *_split_problems(spec, info)]
    if training is not None:
        problems += _training_problems(spec, training, info)
    if model is not None:
        problems += _mixing_problems(spec, model)
        problems += [] if training is None else _task_problems(model, training)
        try:
            models.check(model.name, info.input_shape, len(info.classes), **model.options())
        except models.ModelError as error:
            problems.append(Problem("model", str(error)))
    return problems


def _normalization_problems(spec: DataSpec, info: data.DatasetInfo) -> Iterator[Problem]:
    channels = info.input_shape[0]
    if not isinstance(spec.normalize, str) and len(spec.normalize.mean) not in (1, channels):
        given = len(spec.normalize.mean)
        legal = "1" if channels == 1 else f"{channels}, or 1 for all"
        message = f"is given for {given} channels, and the images have {channels}; legal: {legal}"
        yield Problem("data.normalize", message)


def _split_problems(spec: DataSpec, info: data.DatasetInfo) -> Iterator[Problem]:
    if info.train_size is None:
        return
    fraction, left = spec.validation_fraction, _left(spec, info.train_size)
    if fraction > 0 and left == info.train_size:
        message = f"{fraction:g} of {left} images is none; legal: 0, or >= {1 / left:.2g}"
        yield Problem("data.validation_fraction", message)
    if left < len(info.classes):
        classes = len(info.classes)
        most = math.floor(1e4 * (1 - classes / info.train_size)) / 1e4
        message = f"{fraction:g} leaves {left} images to train {classes} classes on; legal: <= {most:g}"
        yield Problem("data.validation_fraction", message)
    elif spec.train_limit is not None and spec.train_limit > left:
        message = f"{spec.train_limit} is above the {left} training images; legal: <= {left}"
        yield Problem("data.train_limit", message)


def _mixing_problems(spec: DataSpec, model: ModelSpec) -> Iterator[Problem]:
    task = models.get(model.name).task
    if spec.mixing and task != "classification":
        message = f"mixes labels, and {model.name} is trained for {task}, without labels; legal: leave it out"
        yield from (Problem(f"data.augment.{name}", message) for name in spec.mixing)


def _task_problems(model: ModelSpec, training: TrainingSpec) -> Iterator[Problem]:
    """Fields that mean nothing to the model's task must stay as they are unset."""
    task = models.get(model.name).task
    for field, owner in OWN_FIELDS.items():
        value = getattr(training, field)
        if owner != task and value != TrainingSpec.model_fields[field].default:
            message = f"{value:g} is for {owner}, and {model.name} is trained for {task}; legal: leave it out"
            yield Problem(f"training.{field}", message)


def _left(spec: DataSpec, train_size: int) -> int:
    """Images to train on after validation images are split off."""
    return train_size - round(train_size * spec.validation_fraction)


def _training_problems(spec: DataSpec, training: TrainingSpec, info: data.DatasetInfo) -> Iterator[Problem]:
    if spec.validation_fraction == 0 and training.early_stopping is not None:
        message = "0 leaves nothing to judge early stopping by; legal: > 0, or no training.early_stopping"
        yield Problem("data.validation_fraction", message)
    if info.train_size is None:
        return
    left = _left(spec, info.train_size)
    left = min(left, spec.train_limit or left)
    if training.batch_size > left:
        message = f"{training.batch_size} is larger than the training set of {left} images; legal: <= {left}"
        yield Problem("training.batch_size", message)


def check_constraints(constraints: ConstraintsSpec, experiment: Experiment, info: data.DatasetInfo) -> Iterator[str]:
    """Which constraints an experiment that is possible does not keep to."""
    if constraints.parameters is None and constraints.mult_adds is None:
        return
    cost = models.cost_of(experiment.model.name, info.input_shape, len(info.classes), **experiment.model.options())
    for name in ("parameters", "mult_adds"):
        bound, value = getattr(constraints, name), getattr(cost, name)
        if bound is not None and not bound.holds(value):
            yield f"has {value} {name}, outside of constraints.{name}; legal: {bound.legal}"


def check_search(settings: SearchSettings, space: Space, sample: Experiment) -> list[Problem]:
    """What is impossible about the settings of a search; `sample` stands for all that is fixed."""
    problems = list(_metric_problems(settings, space, sample))
    if settings.objective.metric.part == "val" and sample.data.validation_fraction == 0:
        message = f"{settings.metric} needs validation images; legal: data.validation_fraction > 0, or a train_ metric"
        problems.append(Problem("search.metric", message))
    if settings.scheduler.name == "asha":
        domain = space.domains.get("training.epochs")
        searched = [end for end in domain.ends if isinstance(end, int)] if domain else []
        epochs = max(searched, default=sample.training.epochs)
        problems += _rung_problems(settings.scheduler, min(epochs, settings.scheduler.max_t or epochs))
    return problems


def _metric_problems(settings: SearchSettings, space: Space, sample: Experiment) -> Iterator[Problem]:
    """A metric that some of the searched models do not have."""
    domain = space.domains.get("model.name")
    for task in dict.fromkeys(models.get(name).task for name in (domain.ends if domain else [sample.model.name])):
        if settings.metric not in (legal := metrics_of(task)):
            message = f"{settings.metric} is no metric of {task}; legal: {', '.join(legal)}"
            yield Problem("search.metric", message)


def _rung_problems(spec: SchedulerSpec, epochs: int) -> Iterator[Problem]:
    """What is impossible about ASHA's rungs when the longest trial has so many epochs."""
    if spec.grace_period > epochs:
        message = f"{spec.grace_period} is above the {epochs} epochs that a trial has; legal: <= {epochs}"
        yield Problem("search.scheduler.grace_period", message)
        return
    rungs = int(math.log(epochs / spec.grace_period) / math.log(spec.reduction_factor)) + 1  # as Ray counts them
    if rungs > epochs:
        message = f"{spec.reduction_factor} makes {rungs} rungs of {epochs} epochs; legal: such as 2 to 4"
        yield Problem("search.scheduler.reduction_factor", message)
    elif spec.brackets > rungs:
        message = (
            f"{spec.brackets} brackets, but {epochs} epochs with grace_period {spec.grace_period} and reduction_factor "
            f"{spec.reduction_factor:g} have {rungs} rungs, so that some would be empty; legal: <= {rungs}"
        )
        yield Problem("search.scheduler.brackets", message)
