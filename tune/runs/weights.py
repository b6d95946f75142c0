"""Load a run's weights, into a model to use or into a training that starts from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import models
from tune.errors import UserError
from tune.record.folder import RunFolder
from tune.runs.info import RunInfo, read_run, with_path
from tune.spec import Experiment
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
    if not folder.weights.is_file():
        raise UserError(f"{folder.path}: no epoch is finished yet, so there is no {folder.weights.name}")
    weights, facts = load_weights(folder.weights)
    spec = experiment.model
    model = models.build(spec.name, info.input_shape, len(info.classes), **spec.options())
    if differences := _differences(weights, model.state_dict()):
        raise CheckpointError(f"{folder.weights}: these are not the weights of the run's {spec.name}: {differences}")
    model.load_state_dict(weights)
    return TrainedRun(folder, experiment, info, model.to(device).eval(), int(facts["epoch"]))


def start_from(training: Training, run: RunFolder) -> None:
    """Replace a training's initial weights by the best ones of another run.

    Raises:
        UserError: That run has none yet, or its model has other shapes.
        CheckpointError: The weights are damaged.
    """
    if not run.weights.is_file():
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
