"""What an epoch gave: its metrics as a value, and the sums they are made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Mode = Literal["min", "max"]

_COLUMNS = ("epoch", "lr", "seconds")


@dataclass(frozen=True)
class EpochMetrics:
    """The result of one epoch.

    Attributes:
        epoch: Counted from 1.
        values: train_loss, train_accuracy, val_loss, val_accuracy by name (those of the task; val_* only where there
            are validation images). Accuracies are fractions 0-1. train_* are means over the epoch while the weights
            moved, with the loss as it was minimised (label smoothing or beta included); val_loss is plain cross entropy
            or the negative evidence lower bound, so that it compares across experiments. Of an epoch that
            diverged, what was not measured is NaN.
        lr: Learning rate of the epoch's last step.
        seconds: Wall time of training and validation.
    """

    epoch: int
    values: Mapping[str, float]
    lr: float
    seconds: float

    @property
    def finite(self) -> bool:
        """Whether every loss is a finite number; where one is not, the training has diverged."""
        return all(math.isfinite(value) for name, value in self.values.items() if name.endswith("loss"))

    def to_dict(self) -> dict[str, float]:
        """Flat, of plain numbers: epoch, the values by name, lr, seconds."""
        return {"epoch": self.epoch, **self.values, "lr": self.lr, "seconds": self.seconds}

    @classmethod
    def from_dict(cls, flat: Mapping[str, Any]) -> EpochMetrics:
        """The inverse of `to_dict`."""
        values = {name: float(value) for name, value in flat.items() if name not in _COLUMNS}
        return cls(int(flat["epoch"]), values, float(flat["lr"]), float(flat["seconds"]))


def best_of(history: Iterable[EpochMetrics], metric: str, mode: Mode) -> EpochMetrics | None:
    """The best epoch by a metric: never one where it is NaN, and the earlier of two equals; None if there is none.

    Epochs without the metric (val_* where nothing validates) leave nothing to choose by: the latest is then the best.
    """
    best = None
    for metrics in history:
        value = metrics.values.get(metric)
        if value is None:
            best = metrics if metrics.finite else best
        elif not math.isnan(value) and (best is None or _better(value, best.values[metric], mode)):
            best = metrics
    return best


def _better(value: float, than: float, mode: Mode) -> bool:
    return value < than if mode == "min" else value > than


def patience_spent(losses: Iterable[float], patience: int, min_delta: float) -> bool:
    """Whether early stopping ends a training with these validation losses, one per epoch.

    An epoch improves if its loss is below the loss of the last improvement by more than `min_delta`; after `patience`
    epochs in a row that do not, it is time. A function of the losses alone: there are no counters to save or to lose.
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
    """Running sums of a task's metrics on the device, in float64; read once, at the end.

    Nothing here waits for the device but `finite` and `means`.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names = tuple(names)
        self._totals = torch.zeros(len(self._names), dtype=torch.float64, device=device)
        self._parts = self._totals.unbind()
        self._images = 0

    def add(self, loss: Tensor, others: Sequence[Tensor], images: int) -> None:
        """Count one batch in: its mean loss, the sums of the other metrics, and its number of images."""
        with torch.no_grad():
            self._parts[0].add_(loss, alpha=images)
            for part, value in zip(self._parts[1:], others, strict=True):
                part.add_(value)
        self._images += images

    def finite(self) -> bool:
        """Whether every loss so far was a finite number. Waits for the device."""
        return math.isfinite(self._parts[0].item())

    def means(self, prefix: str) -> dict[str, float]:
        """Means per image, by name behind the prefix. Waits for the device."""
        totals = self._totals.tolist()
        return {prefix + name: total / self._images for name, total in zip(self._names, totals, strict=True)}
