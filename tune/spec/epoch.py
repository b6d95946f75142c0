"""The metrics of an epoch as a value, which is what a record keeps of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune.spec.metric import METRICS

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
