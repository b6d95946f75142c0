"""Metrics and objectives as values: everything that depends on what a metric is asks the metric, not its name."""

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
        part: On which images: those trained on, or those that validate.
        kind: What is measured, such as `loss`; the same name for both parts.
        goal: Whether a good value is small or large.
        unit: `%` for a fraction that people read in percent, `nats`, or nothing.
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
        """A value as people read it: `98.20 %`, `0.0712`, `-` where it is unknown."""
        if value is None or not math.isfinite(value):
            return "-"
        return f"{100 * value:.2f} %" if self.unit == "%" else f"{value:.4f}"


_KINDS: dict[str, tuple[tuple[str, Goal, str], ...]] = {
    "classification": (("loss", "min", ""), ("accuracy", "max", "%")),
    "reconstruction": (("loss", "min", "nats"), ("reconstruction", "min", ""), ("kl", "min", "nats")),
}
"""By task (`models.get(...).task`): kind, goal and unit. The first is what is minimized."""


def metrics_of(task: str) -> tuple[Metric, ...]:
    """The metrics of an epoch of a task: all of `train`, then all of `val`."""
    parts: tuple[Part, ...] = ("train", "val")
    return tuple(Metric(part, kind, goal, unit) for part in parts for kind, goal, unit in _KINDS[task])


METRICS: dict[str, Metric] = {metric.name: metric for task in _KINDS for metric in metrics_of(task)}
"""Every metric of every task, by name."""


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
        metric: The one metric there is.
    """

    metric: Metric

    def cost(self, values: Mapping[str, float]) -> float | None:
        """The value to minimize: the metric's, negated where large is good; None where it is missing or not finite."""
        value = values.get(self.metric.name, math.nan)
        return (value if self.metric.goal == "min" else -value) if math.isfinite(value) else None

    def best(self, epochs: Iterable[E]) -> E | None:
        """The best epoch: the earlier of two equals, None where none has a finite value."""
        known = [(cost, epoch) for epoch in epochs if (cost := self.cost(epoch.values)) is not None]
        return min(known, key=lambda pair: pair[0])[1] if known else None
