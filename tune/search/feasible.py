"""Whether a configuration can be trained and satisfies the constraints, found out without training it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import data
from search_spaces import Config
from tune.search.latency import Latencies
from tune.spec.checks.experiment import check_experiment
from tune.spec.checks.search import cost_of_model
from tune.spec.constraints import LATENCY
from tune.spec.search import SearchSpec


class Feasibility:
    """Checks configurations of one search. Data sets and models are looked at once each.

    `latencies` measures models; without, `constraints.latency_ms` is not checked.
    """

    def __init__(self, spec: SearchSpec, root: Path, latencies: Latencies | None = None) -> None:
        self._spec, self._latencies = spec, latencies
        self._inspect = lru_cache(maxsize=64)(lambda source: data.inspect(source, root))
        self._cost = lru_cache(maxsize=4096)(cost_of_model)
        self._nearest: dict[str, float] = {}

    def __call__(self, config: Config) -> Mapping[str, Any] | None:
        """Facts about its model; None if the configuration is impossible or violates a constraint.

        They are its parameters, multiply-adds per image and, where that is limited, latency.

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
        facts: dict[str, Any] = {"parameters": cost.parameters, "mult_adds": cost.mult_adds}
        constraints = self._spec.constraints
        unmet = list(constraints.unmet(cost))
        if (limit := constraints.latency_ms) is not None and self._latencies is not None and not unmet:
            facts[LATENCY] = latency = self._latencies.of(experiment.model, info.input_shape, len(info.classes))
            if not limit.holds(latency):
                unmet = [(LATENCY, limit, latency)]
        for name, bound, value in unmet:
            self._nearest[name] = min(self._nearest.get(name, value), value, key=bound.distance)
        return None if unmet else facts

    @property
    def why_not(self) -> str:
        """Which constraints were not met, each with the value that came nearest; empty if all were met."""
        return "; ".join(
            f"constraints.{name} allows {self._spec.constraints.bounds[name].text}, the nearest value was {value:.12g}"
            for name, value in self._nearest.items()
        )
