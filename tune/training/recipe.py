"""A recipe's words made into torch's objects: optimizer, learning-rate schedule, precision."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from tune.spec.experiment import OptimizerSpec, ScheduleSpec, TrainingSpec

# Devices where torch's fused optimizers work: one kernel for all parameters, and the same bits at every run.
_FUSED = ("cpu", "cuda")


def build_optimizer(spec: OptimizerSpec, parameters: Iterable[nn.Parameter], device: torch.device) -> Optimizer:
    """The optimizer over the parameters, which lie on the device; fused where torch can."""
    common: dict[str, Any] = {"lr": spec.lr, "weight_decay": spec.weight_decay, "fused": device.type in _FUSED}
    if spec.name == "sgd":
        return torch.optim.SGD(parameters, momentum=spec.momentum or 0.0, nesterov=spec.nesterov, **common)
    adam = torch.optim.Adam if spec.name == "adam" else torch.optim.AdamW
    return adam(parameters, amsgrad=spec.amsgrad, **common)


class Schedule:
    """The learning rate over a training, by torch's own schedulers. The loop says when a batch and an epoch are over.

    Args:
        spec: The recipe, whose epochs the schedule is laid over, however many are run.
        optimizer: Whose learning rate is set.
        steps: Optimizer steps per epoch.
    """

    def __init__(self, spec: TrainingSpec, optimizer: Optimizer, steps: int) -> None:
        self._per_batch = spec.schedule.name == "onecycle"
        self._optimizer = optimizer
        self._scheduler = _scheduler(spec.schedule, optimizer, spec.optimizer.lr, spec.epochs, steps)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """A step is done."""
        if self._per_batch and self._scheduler is not None:
            self._scheduler.step()

    def after_epoch(self) -> None:
        """An epoch is done."""
        if not self._per_batch and self._scheduler is not None:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands, in plain values."""
        return self._scheduler.state_dict() if self._scheduler is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where the other stood."""
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state)


def _scheduler(spec: ScheduleSpec, optimizer: Optimizer, lr: float, epochs: int, steps: int) -> LRScheduler | None:
    if spec.name == "constant":
        return None
    if spec.name == "step":
        return StepLR(optimizer, spec.step_size, spec.gamma)
    if spec.name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=epochs, eta_min=spec.min_lr)
    return OneCycleLR(
        optimizer,
        max_lr=lr,
        total_steps=epochs * steps,
        pct_start=_pct_start(spec.pct_start, epochs * steps),
        div_factor=spec.div_factor,
        final_div_factor=spec.final_div_factor,
        cycle_momentum=False,  # it would overwrite the momentum that the experiment states
    )


def _pct_start(pct_start: float, total_steps: int) -> float:
    """The share of the warm-up, moved off the one value at which OneCycleLR divides by zero (a warm-up of one step).

    That step is then the first of the descent: it has the peak's learning rate, as it should.
    """
    return pct_start * (1 - 1e-9) if pct_start * total_steps == 1 else pct_start


def autocast(spec: TrainingSpec, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which a model is applied, in training and in validation alike; float32 is torch's plain course."""
    if spec.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
