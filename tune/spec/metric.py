"""Metrics, their values in an epoch, and objectives: goal, part and unit are asked of a metric, not of its name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Goal = Literal["min", "max"]
Part = Literal["train", "val", "model"]


@dataclass(frozen=True)
class Metric:
    """What is measured in every epoch, or known about a model before it is trained.

    Attributes:
        part: On which images: those for training, or those for validation; or what is known of the model.
        kind: What is measured, such as `loss`; `train` and `val` have the same kinds.
        goal: Whether small or large values are good.
        unit: `%` for a fraction that is shown as a percentage, `nats`, or nothing.
    """

    part: Part
    kind: str
    goal: Goal
    unit: str = ""

    @property
    def name(self) -> str:
        """As in tables and in `search.metric`: `val_loss`."""
        return self.kind if self.part == "model" else f"{self.part}_{self.kind}"

    @property
    def words(self) -> str:
        """What is measured, as on the axis of a chart: `loss`, `KL divergence`."""
        return _WORDS.get(self.kind, self.kind)

    def text(self, value: float | None, spread: float | None = None) -> str:
        """A value as it is shown: `98.20 %`, `0.0712`, or `-` if it is unknown; with its spread `98.20 ± 0.15 %`."""
        if value is None or not math.isfinite(value):
            return "-"
        if self.part == "model":
            return f"{value:,.0f}"
        scale, digits, unit = (100, 2, " %") if self.unit == "%" else (1, 4, "")
        around = "" if spread is None or not math.isfinite(spread) else f" ± {scale * spread:.{digits}f}"
        return f"{scale * value:.{digits}f}{around}{unit}"


_KINDS: dict[str, tuple[tuple[str, Goal, str], ...]] = {
    "classification": (("loss", "min", "nats"), ("accuracy", "max", "%")),
    "reconstruction": (("loss", "min", "nats"), ("reconstruction", "min", ""), ("kl", "min", "nats")),
}
"""By task (`models.get(...).task`): kind, goal and unit. The first is what training minimizes. A kind has the same goal
and unit in every task, so that a metric is known by its name."""


def metrics_of(task: str) -> tuple[Metric, ...]:
    """The metrics of an epoch of a task: all of `train`, then all of `val`."""
    parts: tuple[Part, ...] = ("train", "val")
    return tuple(Metric(part, kind, goal, unit) for part in parts for kind, goal, unit in _KINDS[task])


_WORDS = {"reconstruction": "reconstruction error", "kl": "KL divergence"}


METRICS: dict[str, Metric] = {metric.name: metric for task in _KINDS for metric in metrics_of(task)}
"""Every metric of every task, by name."""


FACTS: dict[str, Metric] = {name: Metric("model", name, "min") for name in ("parameters", "mult_adds")}
"""What a search may have as an objective beside metrics: facts that the record has of a trial from its beginning."""


OWN_FIELDS = {"label_smoothing": "classification", "beta": "reconstruction"}
"""The fields of `training` that are for one task only."""


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


@dataclass(frozen=True)
class Objective:
    """What a search or a training is judged by: one metric, or several objectives.

    With several, `metric` chooses a trial's best epoch, whose weights are kept: the first objective that is measured
    in every epoch. The trial is then compared by the values of all objectives in that epoch.

    Attributes:
        metric: The metric that is minimized or maximized.
        metrics: With several objectives all of them, as the search lists them; else empty.
    """

    metric: Metric
    metrics: tuple[Metric, ...] = ()

    @classmethod
    def of(cls, metrics: Sequence[Metric]) -> Objective:
        """The objective that these metrics are; at least one of them is measured in every epoch."""
        measured = next(metric for metric in metrics if metric.part != "model")
        return cls(measured, tuple(metrics) if len(metrics) > 1 else ())

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return bool(self.metrics)

    @property
    def every(self) -> tuple[Metric, ...]:
        """All objectives, one or several."""
        return self.metrics or (self.metric,)

    @property
    def text(self) -> str:
        """As in a sentence: `val_loss`, or `val_accuracy and parameters`."""
        *first, last = (metric.name for metric in self.every)
        return f"{', '.join(first)} and {last}" if first else last

    def cost(self, values: Mapping[str, float]) -> float | None:
        """The value to minimize: the metric's, negated if large is good; None if it is missing or not finite."""
        return _cost(self.metric, values)

    def costs(self, values: Mapping[str, float]) -> tuple[float, ...] | None:
        """The values to minimize, one for each objective; None if one is missing or not finite.

        `values` has the metrics of an epoch and, with several objectives, the facts of its trial.
        """
        found = [_cost(metric, values) for metric in self.every]
        known = tuple(cost for cost in found if cost is not None)
        return known if len(known) == len(found) else None

    def other_costs(self, values: Mapping[str, float]) -> tuple[float, ...] | None:
        """The same for all objectives but `metric`: none if there is only one."""
        found = [_cost(metric, values) for metric in self.metrics if metric != self.metric]
        known = tuple(cost for cost in found if cost is not None)
        return known if len(known) == len(found) else None

    def best(self, epochs: Iterable[EpochMetrics]) -> EpochMetrics | None:
        """The best epoch, the earliest if several are; None if none has a finite value."""
        name, sign = self.metric.name, 1 if self.metric.goal == "min" else -1
        known = (epoch for epoch in epochs if math.isfinite(epoch.values.get(name, math.nan)))
        return min(known, key=lambda epoch: sign * epoch.values[name], default=None)


def _cost(metric: Metric, values: Mapping[str, float]) -> float | None:
    value = values.get(metric.name, math.nan)
    return (value if metric.goal == "min" else -value) if math.isfinite(value) else None
