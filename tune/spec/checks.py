"""Rules about several sections of a specification, about the images, and about the model on these images."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import data
import models
from search_spaces import Space
from tune.spec.errors import Problem
from tune.spec.experiment import DataSpec, Experiment, ModelSpec, TrainingSpec
from tune.spec.metric import METRICS, OWN_FIELDS, metrics_of
from tune.spec.pydantic_errors import validated
from tune.spec.recipe import misfits
from tune.spec.search import ConstraintsSpec, SchedulerSpec, SearchSettings

Look = Callable[[DataSpec], data.DatasetInfo]
"""Finds the shape, the classes and the number of images of a data set; raises `data.DataError`."""

_SECTIONS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(Experiment.model_fields[name].rebuild_annotation()) for name in ("data", "model", "training")
}


def data_root(root: Path | None = None) -> Path:
    """The data directory (torchvision's `root`): as given, or $IMAGETUNE_DATA, or in the user's cache folder."""
    if root is not None:
        return root
    if given := os.environ.get("IMAGETUNE_DATA"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imagetune" / "data"


def inspect_data(spec: DataSpec, root: Path | None = None) -> data.DatasetInfo:
    """The shape, the classes and the number of training images, without decoding any.

    Raises:
        data.DataError: the folder is missing, or does not have one folder per class.
    """
    return data.inspect(spec.source, data_root(root))


def looker(root: Path | None) -> Look:
    """`inspect_data` that looks at each data set once, however it is normalized and augmented."""
    inspect = lru_cache(maxsize=64)(lambda source: data.inspect(source, data_root(root)))
    return lambda spec: inspect(spec.source)


def check_tree(tree: Mapping[str, Any], look: Look | None) -> tuple[Experiment | None, list[Problem]]:
    """The experiment in a tree, and everything that is wrong with it; an invalid section does not hide other problems.

    Without `look` only the fields are checked, not whether the experiment can be trained.
    """
    experiment, problems = validated(Experiment, tree)
    spec, model, training = (
        getattr(experiment, name) if experiment else _valid(kind, tree.get(name, {}))
        for name, kind in _SECTIONS.items()
    )
    if spec is not None and look is not None:
        try:
            problems += check_parts(spec, model, training, look(spec))
        except data.DataError as error:
            field = "data.path" if spec.name == "folder" else "data"
            problems.append(Problem(field, str(error).removeprefix("data.path ")))
    return experiment, problems


def _valid(kind: TypeAdapter[Any], tree: Any) -> Any:
    try:
        return kind.validate_python(tree)
    except ValidationError:
        return None


def check_experiment(experiment: Experiment, info: data.DatasetInfo) -> list[Problem]:
    """Why a valid experiment cannot be trained on these images."""
    return check_parts(experiment.data, experiment.model, experiment.training, info)


def check_parts(
    spec: DataSpec, model: ModelSpec | None, training: TrainingSpec | None, info: data.DatasetInfo
) -> list[Problem]:
    """The same for the sections that are valid."""
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
        needed = "1 number" if channels == 1 else f"{channels} numbers, or 1 for all channels,"
        yield Problem("data.normalize", f"must have {needed} in mean and std (got {len(spec.normalize.mean)})")


def _split_problems(spec: DataSpec, info: data.DatasetInfo) -> Iterator[Problem]:
    if info.train_size is None:
        return
    fraction, left = spec.validation_fraction, _left(spec, info.train_size)
    if fraction > 0 and info.train_size <= len(info.classes):
        message = f"must be 0: each class has one image, which is needed for training (got {fraction:g})"
        yield Problem("data.validation_fraction", message)
        return
    if fraction > 0 and left == info.train_size:
        message = f"must be 0 or at least {1 / left:.2g} for {left} images (got {fraction:g})"
        yield Problem("data.validation_fraction", message)
    if left < len(info.classes):
        classes = len(info.classes)
        most = math.floor(1e4 * (1 - classes / info.train_size)) / 1e4
        message = (
            f"must be at most {most:g} to leave an image to train on for each of {classes} classes (got {fraction:g})"
        )
        yield Problem("data.validation_fraction", message)
    elif spec.train_limit is not None and spec.train_limit > left:
        yield Problem("data.train_limit", f"must be at most the {left} training images (got {spec.train_limit})")


def _mixing_problems(spec: DataSpec, model: ModelSpec) -> Iterator[Problem]:
    task = models.get(model.name).task
    if spec.mixing and task != "classification":
        message = f"mixes labels, but {model.name} is trained for {task}, without labels; remove it"
        yield from (Problem(f"data.augment.{name}", message) for name in spec.mixing)


def _task_problems(model: ModelSpec, training: TrainingSpec) -> Iterator[Problem]:
    """Fields of another task must keep their defaults."""
    task = models.get(model.name).task
    for field, owner in OWN_FIELDS.items():
        value = getattr(training, field)
        if owner != task and value != TrainingSpec.model_fields[field].default:
            message = f"is only for {owner}, and {model.name} is trained for {task} (got {value:g}); remove it"
            yield Problem(f"training.{field}", message)


def _left(spec: DataSpec, train_size: int) -> int:
    """The number of images to train on, without those for validation."""
    return train_size - round(train_size * spec.validation_fraction)


def _training_problems(spec: DataSpec, training: TrainingSpec, info: data.DatasetInfo) -> Iterator[Problem]:
    if spec.validation_fraction == 0 and training.early_stopping is not None:
        message = "must be above 0: early stopping needs validation images (got 0); or remove training.early_stopping"
        yield Problem("data.validation_fraction", message)
    steps = None
    if info.train_size is not None:
        left = _left(spec, info.train_size)
        left = min(left, spec.train_limit or left)
        if training.batch_size > left:
            message = f"must be at most the {left} training images (got {training.batch_size})"
            yield Problem("training.batch_size", message)
        steps = left // training.batch_size + (left % training.batch_size > 1) or 1  # as `training.steps_per_epoch`
    yield from check_recipe(training, steps)


def check_recipe(training: TrainingSpec, steps: int | None = None) -> list[Problem]:
    """Schedules and averages that do not fit the epochs or the learning rate; see `misfits`."""
    return [Problem(f"training.{field}", message) for field, message in misfits(training, steps)]


def check_constraints(constraints: ConstraintsSpec, experiment: Experiment, info: data.DatasetInfo) -> Iterator[str]:
    """Which constraints an experiment does not meet."""
    bounds = {
        name: bound for name in type(constraints).model_fields if (bound := getattr(constraints, name)) is not None
    }
    if not bounds:
        return
    cost = models.cost_of(experiment.model.name, info.input_shape, len(info.classes), **experiment.model.options())
    for name, bound in bounds.items():
        value = getattr(cost, name)
        if not bound.holds(value):
            yield f"must have {bound.text} {name.replace('_', '-')} by constraints.{name} (got {value})"


def check_search(settings: SearchSettings, space: Space, sample: Experiment) -> list[Problem]:
    """What is wrong with the settings of a search; `sample` has the values of all fields that are not searched."""
    problems = [*_metric_problems(settings, space, sample), *_target_problems(settings, space, sample)]
    if settings.objective.metric.part == "val" and sample.data.validation_fraction == 0:
        message = (
            f"{settings.metric} needs validation images; set data.validation_fraction above 0, or use a train_ metric"
        )
        problems.append(Problem("search.metric", message))
    if settings.scheduler.name == "asha":
        domain = space.domains.get("training.epochs")
        searched = [end for end in domain.ends if isinstance(end, int)] if domain else []
        epochs = max(searched, default=sample.training.epochs)
        problems += _rung_problems(settings.scheduler, min(epochs, settings.scheduler.max_t or epochs))
    return problems


def _tasks(space: Space, sample: Experiment) -> Iterable[str]:
    """The tasks of the searched models."""
    domain = space.domains.get("model.name")
    return dict.fromkeys(models.get(name).task for name in (domain.ends if domain else [sample.model.name]))


def _target_problems(settings: SearchSettings, space: Space, sample: Experiment) -> Iterator[Problem]:
    """A target that no trial can reach."""
    for name in settings.stop.target or {}:
        for task in _tasks(space, sample):
            if METRICS[name] not in (metrics := metrics_of(task)):
                names = ", ".join(metric.name for metric in metrics)
                yield Problem(f"search.stop.target.{name}", f"must be a metric of {task}: one of {names}")
        if METRICS[name].part == "val" and sample.data.validation_fraction == 0:
            message = "needs validation images; set data.validation_fraction above 0, or use a train_ metric"
            yield Problem(f"search.stop.target.{name}", message)


def _metric_problems(settings: SearchSettings, space: Space, sample: Experiment) -> Iterator[Problem]:
    """A metric that one of the searched models does not have."""
    for task in _tasks(space, sample):
        if settings.objective.metric not in (metrics := metrics_of(task)):
            names = ", ".join(metric.name for metric in metrics)
            yield Problem("search.metric", f"must be a metric of {task}: one of {names} (got {settings.metric!r})")


def _rung_problems(spec: SchedulerSpec, epochs: int) -> Iterator[Problem]:
    """What is wrong with ASHA's settings if the longest trial has this many epochs."""
    if spec.grace_period > epochs:
        message = f"must be at most the {epochs} epochs of a trial (got {spec.grace_period})"
        yield Problem("search.scheduler.grace_period", message)
        return
    # At grace_period x reduction_factor ** n epochs.
    rungs = int(math.log(epochs / spec.grace_period) / math.log(spec.reduction_factor)) + 1
    if rungs > epochs:
        message = f"must be larger: it makes {rungs} rungs in {epochs} epochs (got {spec.reduction_factor}); try 2 to 4"
        yield Problem("search.scheduler.reduction_factor", message)
    elif spec.brackets > rungs:
        message = (
            f"must be at most the {rungs} rungs of {epochs} epochs with grace_period={spec.grace_period} and "
            f"reduction_factor={spec.reduction_factor:g} (got {spec.brackets})"
        )
        yield Problem("search.scheduler.brackets", message)
