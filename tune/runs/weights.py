"""Load a run's weights, into a model to use or into a training that starts from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import models
from tune.errors import UserError
from tune.files import is_file
from tune.record.folder import RunFolder
from tune.runs.info import RunInfo, read_run, with_path
from tune.spec import Experiment
from tune.spec.experiment import ModelSpec
from tune.training import CheckpointError, Training, load_weights


@dataclass(frozen=True)
class TrainedRun:
    """A run and its model.

    Attributes:
        folder: The run's.
        experiment: What was trained.
        info: What it was made with.
        model: With the best epoch's weights, in evaluation mode.
        epoch: The best epoch.
    """

    folder: RunFolder
    experiment: Experiment
    info: RunInfo
    model: nn.Module
    epoch: int


def open_run(folder: RunFolder, device: torch.device, path: str | None = None) -> TrainedRun:
    """A run's model with the weights of its best epoch.

    Args:
        folder: The run's.
        device: Where to put the model.
        path: Where the run's images are now, if they were moved since the training.

    Raises:
        UserError: No epoch of the run is finished.
        CheckpointError: The weights are damaged or belong to another model.
        SpecError: `experiment.yaml` is damaged, or `path` is not for its data.
    """
    experiment, info = read_run(folder)
    if path is not None:
        experiment = with_path(experiment, path)
    if not is_file(folder.weights):
        raise UserError(f"{folder.path}: no epoch is finished yet, so there is no {folder.weights.name}")
    model, facts = build_trained(folder.weights, experiment.model, info.input_shape, len(info.classes))
    return TrainedRun(folder, experiment, info, model.to(device), int(facts["epoch"]))


def build_trained(
    path: Path, spec: ModelSpec, input_shape: tuple[int, int, int], classes: int
) -> tuple[nn.Module, Mapping[str, str]]:
    """A model with the weights in a file, on the CPU and in evaluation mode, and the facts beside the weights.

    Args:
        path: A file that `save_weights` wrote.
        spec: The model.
        input_shape: (C, H, W) of the images.
        classes: How many.

    Raises:
        CheckpointError: The weights are damaged or belong to another model.
    """
    weights, facts = load_weights(path)
    shapes = models.build_meta(spec.name, input_shape, classes, **spec.options()).state_dict()  # it may be a huge one
    if differences := _differences(weights, shapes):
        raise CheckpointError(f"{path}: these are not the weights of this {spec.name}: {differences}")
    model = models.build(spec.name, input_shape, classes, **spec.options())
    model.load_state_dict(weights)
    return model.eval(), facts


def start_from(training: Training, run: RunFolder) -> None:
    """Replace a training's initial weights by the best ones of another run.

    Raises:
        UserError: That run has none yet, or its model has other shapes.
        CheckpointError: The weights are damaged.
    """
    if not is_file(run.weights):
        raise UserError(f"--weights {run.path}: no epoch is finished yet, so there is no {run.weights.name}")
    weights, _ = load_weights(run.weights)
    if differences := _differences(weights, training.model.state_dict()):
        name = training.experiment.model.name
        raise UserError(
            f"--weights {run.path}: does not fit this {name}: {differences}; "
            "choose a run of the same model with the same options, image size and number of classes"
        )
    training.model.load_state_dict(weights)


def _differences(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], most: int = 3) -> str:
    """The first tensors whose shapes differ, in words; empty if all fit."""
    found = []
    for name in dict.fromkeys([*wanted, *given]):
        here, there = (tuple(table[name].shape) if name in table else None for table in (wanted, given))
        if here != there:
            found.append(f"{name} is {there or 'missing'} there and {here or 'missing'} here")
    more = [f"{len(found) - most} more"] if len(found) > most else []
    return ", ".join(found[:most] + more)
