"""The options of samplers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import BeforeValidator, SerializeAsAny

from tune.spec.base import MOST, Count, CountOrZero
from tune.spec.errors import shown
from tune.spec.options.named import Named, by_name


class SamplerSpec(Named):
    """What proposes configurations; each sampler has a subclass."""


class LearningSpec(SamplerSpec):
    """Samplers that learn from results.

    Attributes:
        startup: The number of configurations at the start that do not depend on results.
    """

    earlier: ClassVar = {"startup_trials": "startup"}

    startup: CountOrZero = 10


class GpSpec(LearningSpec):
    """A Gaussian process that learns from unfinished trials."""

    name: Literal["gp"] = "gp"
    startup: CountOrZero = 8  # a Sobol sequence covers a space evenly after 2, 4, 8, ... points


class TpeSpec(LearningSpec):
    """Optuna's Tree-structured Parzen Estimator."""

    name: Literal["tpe"] = "tpe"


class RandomSpec(SamplerSpec):
    """Random search."""

    earlier: ClassVar = {"startup_trials": None}

    name: Literal["random"] = "random"


def _check_points(value: Any) -> Any:
    numbers = list(value.values()) if isinstance(value, Mapping) else [] if value is None else [value]
    if any(isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST for number in numbers):
        what = f"a whole number from 1 to {MOST}, or a mapping of fields to such numbers"
        raise ValueError(f"must be {what} (got {shown(value)})")
    return value


class GridSpec(SamplerSpec):
    """Every combination of values once, in random order; then the search ends.

    Attributes:
        points: How many values to try of a float without steps, both ends included; or a mapping of fields to such
            numbers.
    """

    name: Literal["grid"] = "grid"
    points: Annotated[Count | Mapping[str, Count] | None, BeforeValidator(_check_points)] = None

    def points_of(self, field: str, *, continuous: bool) -> int | None:
        """How many values of a field to try; None for all of them."""
        if isinstance(self.points, Mapping):
            return self.points.get(field)
        return self.points if continuous else None


class QmcSpec(SamplerSpec):
    """Quasi-Monte Carlo: a scrambled Sobol sequence, which covers the space more evenly than random points."""

    name: Literal["qmc"] = "qmc"


class Nsga2Spec(SamplerSpec):
    """Optuna's genetic algorithm NSGA-II, for several objectives.

    Attributes:
        population: Trials per generation; the first generation is random.
    """

    name: Literal["nsga2"] = "nsga2"
    population: Annotated[int, Ge(2), Le(MOST)] = 20


SAMPLERS: dict[str, type[SamplerSpec]] = {
    "gp": GpSpec,
    "tpe": TpeSpec,
    "random": RandomSpec,
    "grid": GridSpec,
    "qmc": QmcSpec,
    "nsga2": Nsga2Spec,
}

AnySampler = Annotated[SerializeAsAny[SamplerSpec], by_name(SAMPLERS, "gp")]
