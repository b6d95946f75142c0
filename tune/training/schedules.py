"""Learning rate schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import SWALR

from tune.optim import fields_of
from tune.optim.schedules import SCHEDULES, ratios
from tune.spec.recipe import TrainingSpec
from tune.training.optimizer import build_optimizer


class Schedule:
    """The learning rate over a training, set by torch's schedulers after batches and epochs.

    Args:
        spec: The recipe; the schedule covers all its epochs, even if fewer are run.
        optimizer: The optimizer whose learning rate is set.
        steps: Optimizer steps per epoch.
    """

    def __init__(self, spec: TrainingSpec, optimizer: Optimizer, steps: int) -> None:
        averaging, entry = spec.averaging, SCHEDULES[spec.schedule.name]
        fields = {field: getattr(spec.schedule, field) for field in fields_of(entry.build)}
        self._optimizer = optimizer
        self._per_batch = entry.per_batch or spec.schedule.per_batch
        shares = ratios(optimizer, spec.optimizer.lr)
        self._scheduler = entry.build(optimizer, spec.optimizer.lr, spec.epochs, steps, **fields)
        self._last_phase = None
        if averaging.lr is not None:
            last = [averaging.lr * share for share in shares]
            self._last_phase = SWALR(optimizer, last, averaging.anneal_epochs)  # type: ignore[arg-type]  # or a list
        self._epochs_before = averaging.epochs_before(spec.epochs)
        self._epochs = 0

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    @property
    def _averaging_lr(self) -> bool:
        """Whether the learning rate of weight averaging has taken over."""
        return self._last_phase is not None and self._epochs >= self._epochs_before

    def after_batch(self) -> None:
        """Update the learning rate after an optimizer step."""
        if self._per_batch and self._scheduler is not None and not self._averaging_lr:
            self._scheduler.step()

    def after_epoch(self, values: Mapping[str, float]) -> None:
        """Update the learning rate after an epoch with these metrics."""
        self._epochs += 1
        if self._averaging_lr and self._last_phase is not None:
            self._last_phase.step()
        elif isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(values.get("val_loss", values["train_loss"]))
        elif self._scheduler is not None and not self._per_batch:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """The position in the schedule, as plain values."""
        return {
            "epochs": self._epochs,
            "schedule": self._scheduler.state_dict() if self._scheduler is not None else {},
            # In torch 2.11, the state of SWALR includes a function.
            "last_phase": {k: v for k, v in self._last_phase.state_dict().items() if not callable(v)}
            if self._last_phase is not None
            else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._epochs = state["epochs"]
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["schedule"])
        if self._last_phase is not None:
            self._last_phase.load_state_dict(state["last_phase"])


def learning_rates(spec: TrainingSpec, steps: int, epochs: Sequence[Mapping[str, float]]) -> list[float]:
    """The learning rate of every optimizer step of a training, as `Training` has set it.

    Args:
        spec: The recipe.
        steps: Optimizer steps per epoch.
        epochs: The metrics of each epoch, which a schedule may depend on.
    """
    model = nn.Linear(1, 1)  # nothing is trained, only the schedule is followed
    optimizer = build_optimizer(spec.optimizer, model, torch.device("cpu"))
    schedule, rates = Schedule(spec, optimizer, steps), list[float]()
    optimizer.step()  # torch warns of a schedule that moves before its optimizer
    for number, values in enumerate(epochs, start=1):
        for _ in range(steps):
            rates.append(schedule.lr)
            schedule.after_batch()
        if number < len(epochs):  # the last may have diverged, and have no metrics
            schedule.after_epoch(values)
    return rates
