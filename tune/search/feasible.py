"""Whether a configuration can be trained and satisfies the constraints, found out without training it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import data
import models
from search_spaces import Config
from tune.spec.checks.experiment import check_experiment
from tune.spec.search import SearchSpec


class Feasibility:
    """Checks configurations of one search. Data sets and models are looked at once each."""

    def __init__(self, spec: SearchSpec, root: Path) -> None:
        self._spec = spec
        self._inspect = lru_cache(maxsize=64)(lambda source: data.inspect(source, root))
        self._cost = lru_cache(maxsize=4096)(cost_of_model)
        self._nearest: dict[str, float] = {}

    def __call__(self, config: Config) -> Mapping[str, Any] | None:
        """Parameters and multiply-adds per image; None if the configuration is impossible or violates a constraint.

        Raises:
            data.DataError: The images cannot be found any more, whatever the configuration.
        """
        try:
            experiment = self._spec.experiment(config)
        except ValidationError:
            return None
        info = self._inspect(experiment.data.source)
        if check_experiment(experiment, info):
            return None
        cost = self._cost(experiment.model, info.input_shape, len(info.classes))
        facts = {"parameters": cost.parameters, "mult_adds": cost.mult_adds}
        unmet = list(self._spec.constraints.unmet(cost))
        for name, bound, value in unmet:
            self._nearest[name] = min(self._nearest.get(name, value), value, key=bound.distance)
        return None if unmet else facts

    @property
    def why_not(self) -> str:
        """Which constraints were not met, each with the value that came nearest; empty if all were met."""
        return "; ".join(
            f"constraints.{name} allows {self._spec.constraints.bounds[name].text}, the nearest value was {value}"
            for name, value in self._nearest.items()
        )


def cost_of_model(model: Any, input_shape: tuple[int, int, int], classes: int) -> models.Cost:
    """What the model of an experiment costs."""
    return models.cost_of(model.name, input_shape, classes, **model.options())
