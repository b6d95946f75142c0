"""Rules about several sections of an experiment, about the images, and about the model on these images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

import data
import models
from data.words import counted
from tune.optim.optimizers import norm_biases
from tune.spec.checks.images import Look
from tune.spec.checks.pydantic_errors import validated
from tune.spec.checks.recipe import misfits
from tune.spec.data_spec import DataSpec
from tune.spec.errors import Problem
from tune.spec.experiment import Experiment, ModelSpec
from tune.spec.metric import OWN_FIELDS
from tune.spec.recipe import TrainingSpec

_SECTIONS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(Experiment.model_fields[name].rebuild_annotation()) for name in ("data", "model", "training")
}


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
        else:
            if training is not None:
                problems += [*_bias_problems(model, training, info), *_size_problems(model, training, info)]
    return problems


def _bias_problems(model: ModelSpec, training: TrainingSpec, info: data.DatasetInfo) -> Iterator[Problem]:
    factor = training.optimizer.bias_lr_factor
    if factor == 1:
        return
    built = models.build_meta(model.name, info.input_shape, len(info.classes), **model.options())
    if not norm_biases(built):
        message = f"has no effect: this {model.name} has no norms (got {factor:g}); remove it"
        yield Problem("training.optimizer.bias_lr_factor", message)


def _size_problems(model: ModelSpec, training: TrainingSpec, info: data.DatasetInfo) -> Iterator[Problem]:
    if training.progressive_size is None:
        return
    field, (_, *own) = "training.progressive_size", info.input_shape
    if (task := models.get(model.name).task) != "classification":
        yield Problem(field, f"is only for classification, and {model.name} is trained for {task}; remove it")
        return
    size = training.progressive_size.size(own, 1, training.epochs)
    if list(size) == own:
        yield Problem(field, f"has no effect: images of {own[0]} x {own[1]} pixels keep their size; remove it")
        return
    try:
        models.require_size(model.name, info.input_shape, len(info.classes), size, **model.options())
    except models.ModelError as error:
        other = "remove it, or use mini_resnet or a classifier with pooling max or average"
        yield Problem(field, f"{error}; {other}")


def _normalization_problems(spec: DataSpec, info: data.DatasetInfo) -> Iterator[Problem]:
    channels = info.input_shape[0]
    if not isinstance(spec.normalize, str) and len(spec.normalize.mean) not in (1, channels):
        needed = counted(channels, "number") + (", or 1 for all channels," if channels > 1 else "")
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
        message = f"must be 0 or at least {1 / left:.2g} for {counted(left, 'image')} (got {fraction:g})"
        yield Problem("data.validation_fraction", message)
    if left < len(info.classes):
        classes = len(info.classes)
        most = math.floor(1e4 * (1 - classes / info.train_size)) / 1e4
        each = f"each of {counted(classes, 'class')}"
        message = f"must be at most {most:g} to leave an image to train on for {each} (got {fraction:g})"
        yield Problem("data.validation_fraction", message)
    elif spec.train_limit is not None and spec.train_limit > left:
        yield Problem(
            "data.train_limit", f"must be at most {left}, the number of training images (got {spec.train_limit})"
        )


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
            message = f"must be at most {left}, the number of training images (got {training.batch_size})"
            yield Problem("training.batch_size", message)
        steps = left // training.batch_size + (left % training.batch_size > 1) or 1  # as `training.steps_per_epoch`
    yield from check_recipe(training, steps)


def check_recipe(training: TrainingSpec, steps: int | None = None) -> list[Problem]:
    """Schedules and averages that do not fit the epochs or the learning rate; see `misfits`."""
    return [Problem(f"training.{field}", message) for field, message in misfits(training, steps)]
