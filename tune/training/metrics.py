"""The metrics of an epoch, the sums they are computed from, and when they end a training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from tune.spec.experiment import EarlyStoppingSpec
from tune.spec.metric import METRICS, Objective

_COLUMNS = ("epoch", "lr", "seconds")


@dataclass(frozen=True)
class EpochMetrics:
    """The result of one epoch.

    Attributes:
        epoch: Counted from 1.
        values: The task's metrics by name, such as train_loss and val_accuracy; val_* only if there are validation
            images. Accuracies are fractions 0-1. train_* are means over the epoch's batches while the weights
            changed, and train_loss is what was minimized (label smoothing or beta included); val_loss is plain cross
            entropy or the negative evidence lower bound, which can be compared across experiments. If the epoch
            diverged, values that were not measured are NaN.
        lr: Learning rate of the epoch's last step.
        seconds: Wall time of training and validation.
    """

    epoch: int
    values: Mapping[str, float]
    lr: float
    seconds: float

    @property
    def finite(self) -> bool:
        """Whether every loss is finite; if not, the training has diverged."""
        losses = (name for name, metric in METRICS.items() if metric.kind == "loss" and name in self.values)
        return all(math.isfinite(self.values[name]) for name in losses)

    def to_dict(self) -> dict[str, float]:
        """A flat dictionary of epoch, the values by name, lr and seconds."""
        return {"epoch": self.epoch, **self.values, "lr": self.lr, "seconds": self.seconds}

    @classmethod
    def from_dict(cls, flat: Mapping[str, Any]) -> EpochMetrics:
        """The inverse of `to_dict`."""
        values = {name: float(value) for name, value in flat.items() if name not in _COLUMNS}
        return cls(int(flat["epoch"]), values, float(flat["lr"]), float(flat["seconds"]))


def best_of(history: Sequence[EpochMetrics], objective: Objective) -> EpochMetrics | None:
    """The best epoch; None if there is none.

    Without validation images no epoch has a `val_*` metric to choose by: the best is then the latest that has not
    diverged.
    """
    if any(objective.metric.name in metrics.values for metrics in history):
        return objective.best(history)
    return next((metrics for metrics in reversed(history) if metrics.finite), None)


class End(StrEnum):
    """Why a training has ended."""

    EPOCHS = "epochs"
    """All its epochs are done."""
    EARLY_STOPPING = "early_stopping"
    """The validation loss stopped improving."""
    DIVERGED = "diverged"
    """A loss is not finite."""


def end_of(history: Sequence[EpochMetrics], epochs: int, stopping: EarlyStoppingSpec | None) -> End | None:
    """Why a training of so many epochs has ended; None while it has not."""
    if history and not history[-1].finite:
        return End.DIVERGED
    if len(history) >= epochs:
        return End.EPOCHS
    losses = [metrics.values["val_loss"] for metrics in history if "val_loss" in metrics.values]
    if stopping is not None and out_of_patience(losses, stopping.patience, stopping.min_delta):
        return End.EARLY_STOPPING
    return None


def out_of_patience(losses: Iterable[float], patience: int, min_delta: float) -> bool:
    """Whether early stopping ends a training with these validation losses, one per epoch.

    An epoch improves if its loss is more than `min_delta` below that of the last epoch that improved; after `patience`
    epochs in a row without improvement the training ends. Depends on the losses alone: there is no counter to save.
    """
    reference, waited = math.inf, 0
    for loss in losses:
        if loss < reference - min_delta:
            reference, waited = loss, 0
        else:
            waited += 1
        if waited >= patience:
            return True
    return False


class Sums:
    """Running sums of metrics on the device, in float64. Only `means` waits for a GPU.

    Args:
        names: Of the metrics; the first is the loss.
        device: Where their values are computed.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names = tuple(names)
        self._totals = torch.zeros(len(self._names), dtype=torch.float64, device=device)
        self._parts = self._totals.unbind()
        self._images = 0
        self._earlier: _Fetched | None = None

    def add(self, loss: Tensor, others: Sequence[Tensor], images: int) -> None:
        """Add a batch: its mean loss, the sums of the other metrics, and its number of images."""
        with torch.no_grad():
            self._parts[0].add_(loss, alpha=images)
            for part, value in zip(self._parts[1:], others, strict=True):
                part.add_(value)
        self._images += images

    def finite(self) -> bool:
        """Whether every loss so far was finite; on a GPU, every loss until the call before this one.

        The GPU may be many steps behind the CPU. The value is therefore fetched while it works, and read a call later.
        """
        if self._totals.device.type != "cuda":
            return math.isfinite(self._parts[0].item())
        earlier, self._earlier = self._earlier, _Fetched(self._parts[0])
        return earlier is None or math.isfinite(earlier.value())

    def means(self) -> dict[str, float]:
        """Means per image by name. Waits for the device."""
        totals = self._totals.tolist()
        return {name: total / self._images for name, total in zip(self._names, totals, strict=True)}


class _Fetched:
    """A number on its way from a GPU to the CPU."""

    def __init__(self, number: Tensor) -> None:
        self._copy = torch.empty((), dtype=number.dtype, pin_memory=True)
        self._copy.copy_(number, non_blocking=True)
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()

    def value(self) -> float:
        """The number, as it was when it was fetched; waits until it has arrived."""
        self._arrived.synchronize()
        return self._copy.item()
