"""The table of learning rate schedules: `training.schedule.name` and how each is built.

To add one, write a function `(optimizer, lr, epochs, steps, *, fields of ScheduleSpec)` and add a row. An option that
no other has also needs its field, with limits and default, in `tune.spec.recipe.ScheduleSpec`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, OneCycleLR, ReduceLROnPlateau, StepLR

Scheduler = LRScheduler | ReduceLROnPlateau


@dataclass(frozen=True)
class ScheduleEntry:
    """One schedule.

    Attributes:
        build: `build(optimizer, lr, epochs, steps, *, fields)`, with the starting learning rate, the epochs of the
            training and the optimizer steps per epoch. None if the learning rate stays as it is.
        spans_all_epochs: Whether it depends on the number of epochs, so that more of them make it a different schedule.
        per_batch: Whether the learning rate changes after every batch, not only after every epoch.
    """

    build: Callable[..., Scheduler | None]
    spans_all_epochs: bool = False
    per_batch: bool = False


def ratios(optimizer: Optimizer, lr: float) -> list[float]:
    """What each group's learning rate is of the recipe's, before a schedule has changed it; schedules keep it."""
    return [group["lr"] / lr for group in optimizer.param_groups]


def _constant(optimizer: Optimizer, lr: float, epochs: int, steps: int) -> None:
    return None


def _step(optimizer: Optimizer, lr: float, epochs: int, steps: int, *, step_size: int, gamma: float) -> Scheduler:
    return StepLR(optimizer, step_size, gamma)


def _multistep(
    optimizer: Optimizer, lr: float, epochs: int, steps: int, *, milestones: Sequence[int] | None, gamma: float
) -> Scheduler:
    return MultiStepLR(optimizer, list(milestones or ()), gamma)


def _plateau(
    optimizer: Optimizer, lr: float, epochs: int, steps: int, *, factor: float, patience: int, min_lr: float
) -> Scheduler:
    least = [min_lr * ratio for ratio in ratios(optimizer, lr)]
    scheduler = ReduceLROnPlateau(optimizer, "min", factor, patience, min_lr=min_lr)
    scheduler.min_lrs = least
    return scheduler


def _cosine(
    optimizer: Optimizer,
    lr: float,
    epochs: int,
    steps: int,
    *,
    warmup_epochs: float,
    min_lr: float,
    per_batch: bool,
) -> Scheduler:
    unit = steps if per_batch else 1
    warm_up, total, least = warmup_epochs * unit, epochs * unit, min_lr / lr
    return LambdaLR(optimizer, functools.partial(cosine, warm_up=warm_up, total=total, least=least))


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


def _onecycle(
    optimizer: Optimizer,
    lr: float,
    epochs: int,
    steps: int,
    *,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
    cycle_momentum: bool,
) -> Scheduler:
    return OneCycleLR(
        optimizer,
        max_lr=[lr * ratio for ratio in ratios(optimizer, lr)],
        total_steps=epochs * steps,
        pct_start=_pct_start(pct_start, epochs * steps),
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=cycle_momentum,  # torch's default would overwrite the experiment's momentum
    )


def _pct_start(pct_start: float, total_steps: int) -> float:
    """The share of the warm-up, kept off the one value for which OneCycleLR divides by zero (a warm-up of one step).

    That step is then the first of the descent, with the peak's learning rate.
    """
    return pct_start * (1 - 1e-9) if pct_start * total_steps == 1 else pct_start


SCHEDULES: dict[str, ScheduleEntry] = {
    "constant": ScheduleEntry(_constant),
    "step": ScheduleEntry(_step),
    "multistep": ScheduleEntry(_multistep),
    "cosine": ScheduleEntry(_cosine, spans_all_epochs=True),
    "onecycle": ScheduleEntry(_onecycle, spans_all_epochs=True, per_batch=True),
    "plateau": ScheduleEntry(_plateau),
}
"""By name."""
