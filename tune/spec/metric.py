"""Metrics and objectives as values: whatever depends on a metric's goal, part or unit asks the metric, not its name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Goal = Literal["min", "max"]
Part = Literal["train", "val"]


@dataclass(frozen=True)
class Metric:
    """What is measured in every epoch.

    Attributes:
        part: On which images: those for training, or those for validation.
        kind: What is measured, such as `loss`; both parts have the same kinds.
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
        return f"{self.part}_{self.kind}"

    def text(self, value: float | None) -> str:
        """A value as it is shown: `98.20 %`, `0.0712`, or `-` if it is unknown."""
        if value is None or not math.isfinite(value):
            return "-"
        return f"{100 * value:.2f} %" if self.unit == "%" else f"{value:.4f}"


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


METRICS: dict[str, Metric] = {metric.name: metric for task in _KINDS for metric in metrics_of(task)}
"""Every metric of every task, by name."""


OWN_FIELDS = {"label_smoothing": "classification", "beta": "reconstruction"}
"""The fields of `training` that are for one task only."""


class HasValues(Protocol):
    """Anything with metrics by name, such as an epoch."""

    @property
    def values(self) -> Mapping[str, float]:
        """Values by the metric's name."""


E = TypeVar("E", bound=HasValues)


@dataclass(frozen=True)
class Objective:
    """What a search or a training is judged by.

    Attributes:
        metric: The metric that is minimized or maximized.
    """

    metric: Metric

    def cost(self, values: Mapping[str, float]) -> float | None:
        """The value to minimize: the metric's, negated if large is good; None if it is missing or not finite."""
        value = values.get(self.metric.name, math.nan)
        return (value if self.metric.goal == "min" else -value) if math.isfinite(value) else None

    def best(self, epochs: Iterable[E]) -> E | None:
        """The best epoch, the earliest if several are; None if none has a finite value."""
        known = [(cost, epoch) for epoch in epochs if (cost := self.cost(epoch.values)) is not None]
        return min(known, key=lambda pair: pair[0])[1] if known else None
