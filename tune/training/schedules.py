"""Learning rate schedules."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.optim.swa_utils import SWALR

from tune.spec.experiment import ScheduleSpec, TrainingSpec


class Schedule:
    """The learning rate over a training, set by torch's schedulers after batches and epochs.

    Args:
        spec: The recipe; the schedule covers all its epochs, even if fewer are run.
        optimizer: The optimizer whose learning rate is set.
        steps: Optimizer steps per epoch.
    """

    def __init__(self, spec: TrainingSpec, optimizer: Optimizer, steps: int) -> None:
        averaging = spec.averaging
        self._optimizer = optimizer
        self._per_batch = spec.schedule.name == "onecycle" or spec.schedule.per_batch
        self._scheduler = _scheduler(spec, optimizer, steps)
        self._last_phase = None if averaging.lr is None else SWALR(optimizer, averaging.lr, averaging.anneal_epochs)
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


def _scheduler(recipe: TrainingSpec, optimizer: Optimizer, steps: int) -> LRScheduler | ReduceLROnPlateau | None:
    spec, lr = recipe.schedule, recipe.optimizer.lr
    match spec.name:
        case "constant":
            return None
        case "step":
            return StepLR(optimizer, spec.step_size, spec.gamma)
        case "multistep":
            return MultiStepLR(optimizer, list(spec.milestones or ()), spec.gamma)
        case "plateau":
            return ReduceLROnPlateau(optimizer, "min", spec.factor, spec.patience, min_lr=spec.min_lr)
        case "cosine":
            unit = steps if spec.per_batch else 1
            warm_up, total, least = spec.warmup_epochs * unit, recipe.epochs * unit, spec.min_lr / lr
            return LambdaLR(optimizer, functools.partial(cosine, warm_up=warm_up, total=total, least=least))
        case "onecycle":
            return _onecycle(spec, optimizer, lr, recipe.epochs * steps)


def cosine(time: int, *, warm_up: float, total: int, least: float) -> float:
    """The learning rate after `time` of `total` epochs or batches, as a share of its peak.

    It rises linearly for the first `warm_up` of them (Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section
    2.2), and falls to `least` along half a cosine (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983, without
    restarts).
    """
    # Torch's SequentialLR of LinearLR and CosineAnnealingLR gives the same, but its warm-up cannot end within an epoch,
    # its learning rate rises again after `total`, and it could not continue from states that exist.
    if time < warm_up:
        return (time + 1) / (warm_up + 1)
    done = min(1.0, (time - warm_up) / (total - warm_up))
    return least + (1 - least) / 2 * (1 + math.cos(math.pi * done))


def _onecycle(spec: ScheduleSpec, optimizer: Optimizer, lr: float, total_steps: int) -> OneCycleLR:
    return OneCycleLR(
        optimizer,
        max_lr=lr,
        total_steps=total_steps,
        pct_start=_pct_start(spec.pct_start, total_steps),
        div_factor=spec.div_factor,
        final_div_factor=spec.final_div_factor,
        cycle_momentum=spec.cycle_momentum,  # torch's default would overwrite the experiment's momentum
    )


def _pct_start(pct_start: float, total_steps: int) -> float:
    """The share of the warm-up, kept off the one value for which OneCycleLR divides by zero (a warm-up of one step).

    That step is then the first of the descent, with the peak's learning rate.
    """
    return pct_start * (1 - 1e-9) if pct_start * total_steps == 1 else pct_start
