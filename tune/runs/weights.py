"""The weights of a run: put into a training that starts from them, or into a model that is to be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import models
from tune.errors import UserError
from tune.record.folder import RunFolder
from tune.runs.info import RunInfo, read_run
from tune.spec import Experiment
from tune.training import CheckpointError, Training, load_weights


@dataclass(frozen=True)
class TrainedRun:
    """A run whose model can be used.

    Attributes:
        folder: Of the run.
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


def open_run(folder: RunFolder, device: torch.device) -> TrainedRun:
    """A run's model with the weights of its best epoch.

    Raises:
        UserError: no epoch of the run is done.
        CheckpointError: the weights are damaged or of another model.
        SpecError: `experiment.yaml` is damaged.
    """
    experiment, info = read_run(folder)
    if not folder.weights.is_file():
        raise UserError(f"{folder.path}: no epoch is done yet; legal: a run with {folder.weights.name}")
    weights, facts = load_weights(folder.weights)
    spec = experiment.model
    model = models.build(spec.name, info.input_shape, len(info.classes), **spec.options())
    if differences := _differences(weights, model.state_dict()):
        raise CheckpointError(f"{folder.weights}: not the weights of the run's {spec.name}: {differences}")
    model.load_state_dict(weights)
    return TrainedRun(folder, experiment, info, model.to(device).eval(), int(facts["epoch"]))


def start_from(training: Training, run: RunFolder) -> None:
    """Replace a training's initial weights by the best ones of another run.

    Raises:
        UserError: that run has none yet, or its model has other shapes.
        CheckpointError: the weights are damaged.
    """
    if not run.weights.is_file():
        raise UserError(f"--weights {run.path}: no epoch is done yet; legal: a run with {run.weights.name}")
    weights, _ = load_weights(run.weights)
    if differences := _differences(weights, training.model.state_dict()):
        name = training.experiment.model.name
        raise UserError(
            f"--weights {run.path}: does not fit this {name}: {differences}; "
            "legal: a run of the same model with the same options, image size and classes"
        )
    training.model.load_state_dict(weights)


def _differences(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], most: int = 3) -> str:
    """The first tensors whose shapes differ, in words; empty where all fit."""
    found = []
    for name in dict.fromkeys([*wanted, *given]):
        here, there = (tuple(table[name].shape) if name in table else None for table in (wanted, given))
        if here != there:
            found.append(f"{name} is {there or 'missing'} there and {here or 'missing'} here")
    more = [f"{len(found) - most} more"] if len(found) > most else []
    return ", ".join(found[:most] + more)
