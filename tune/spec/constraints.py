"""The section `constraints`: limits on the cost of a trial's model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from annotated_types import Ge
from pydantic import ValidationInfo, field_validator, model_validator

import models
from tune.spec.base import Frozen

LATENCY = "latency_ms"  # the one constraint that has to be measured


class Bound(Frozen):
    """Limits on one quantity, inclusive: min, max or both."""

    min: Annotated[float, Ge(0)] | None = None
    max: Annotated[float, Ge(0)] | None = None

    @field_validator("max")
    @classmethod
    def _above_min(cls, most: float | None, info: ValidationInfo) -> float | None:
        least = info.data.get("min")
        if most is not None and least is not None and least > most:
            raise ValueError(f"must be at least min={least:.12g} (got {most:.12g})")
        return most

    @model_validator(mode="after")
    def _not_empty(self) -> Bound:
        if self.min is None and self.max is None:
            raise ValueError("must have min, max or both")
        return self

    @property
    def text(self) -> str:
        """`at least 2 and at most 3`."""
        limits = (("at least", self.min), ("at most", self.max))
        return " and ".join(f"{words} {limit:.12g}" for words, limit in limits if limit is not None)

    def holds(self, value: float) -> bool:
        """Whether the value is within the limits."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def distance(self, value: float) -> float:
        """How far the value is outside the limits; 0 within them."""
        return max((self.min or 0) - value, 0 if self.max is None else value - self.max, 0)


class ConstraintsSpec(Frozen):
    """Limits on the model of every trial, checked without training it.

    All but the latency are fields of `models.Cost`.

    Attributes:
        parameters: Number of parameters.
        mult_adds: Multiply-add operations per image.
        activation_bytes: Bytes of the outputs of all layers for one image, in float32.
        model_bytes: Bytes of the parameters, in float32.
        latency_ms: Milliseconds for one image, in float32 on one CPU core of the machine that runs the search: the
            median of 30 calls or more. It is measured once for each model that meets all other constraints.
    """

    parameters: Bound | None = None
    mult_adds: Bound | None = None
    activation_bytes: Bound | None = None
    model_bytes: Bound | None = None
    latency_ms: Bound | None = None

    @property
    def bounds(self) -> dict[str, Bound]:
        """Those that are given, by name."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: bound for name, bound in named.items() if bound is not None}

    def unmet(self, cost: models.Cost) -> Iterator[tuple[str, Bound, float]]:
        """Those that a model does not meet, but for its latency: name, limits, and the model's value."""
        for name, bound in self.bounds.items():
            if name != LATENCY and not bound.holds(value := getattr(cost, name)):
                yield name, bound, value
