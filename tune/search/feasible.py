"""Whether a configuration can be trained and satisfies the constraints, found out without training it."""

from __future__ import annotations

import hashlib
import json
import random
import statistics
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

import data
import models
from search_spaces import Config
from tune.evaluation.timing import measure_latency
from tune.record.study import Record
from tune.spec.checks.experiment import check_experiment
from tune.spec.checks.search import cost_of_model
from tune.spec.constraints import LATENCY
from tune.spec.experiment import Experiment
from tune.spec.metric import FACTS
from tune.spec.search import SearchSpec
from tune.training import cpu_threads

NOTE = "latency:"  # what the keys of the notes begin with; a digest of the model follows
SECONDS = 0.1  # to measure for, at least
_DRAWS = 9


class Feasibility:
    """Checks configurations of one search. Data sets and models are looked at once each.

    `latencies` measures models; without, `constraints.latency_ms` is not checked.
    """

    def __init__(self, spec: SearchSpec, root: Path, latencies: Latencies | None = None) -> None:
        self._spec, self._latencies = spec, latencies
        self._inspect = lru_cache(maxsize=64)(lambda source: data.inspect(source, root))
        self._nearest: dict[str, float] = {}

    def __call__(self, config: Config) -> Mapping[str, Any] | None:
        """Facts about its model; None if the configuration is impossible or violates a constraint.

        They are those that may be objectives and, where that is limited, its latency.

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
        cost = cost_of_model(experiment.model, info.input_shape, len(info.classes))
        facts: dict[str, Any] = {name: getattr(cost, name) for name in FACTS}
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


def middle(spec: SearchSpec, root: Path) -> Experiment:
    """Of some trials, the one in the middle by multiply-adds."""
    feasible, source = Feasibility(spec, root), random.Random(0)
    drawn = [spec.space.draw(source) for _ in range(_DRAWS)]
    costs = [(facts["mult_adds"], number) for number, config in enumerate(drawn) if (facts := feasible(config))]
    config = drawn[statistics.median_low(costs)[1]] if costs else spec.example
    return spec.experiment(config)


class Latencies:
    """Measures models on this machine, each once. Results are noted in the record: a resumed search decides alike."""

    def __init__(self, record: Record) -> None:
        self._record = record
        notes = record.facts.items()
        self._known = {key.removeprefix(NOTE): float(value) for key, value in notes if key.startswith(NOTE)}

    def of(self, model: Any, input_shape: tuple[int, int, int], classes: int) -> float:
        """Milliseconds that the model of an experiment takes for one image, on one CPU core, in float32."""
        text = json.dumps([model.model_dump(mode="json"), input_shape, classes], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        if digest not in self._known:
            value = float(f"{_measured(model, input_shape, classes):.4g}")
            self._record.note(f"{NOTE}{digest}", value)
            self._known[digest] = value
        return self._known[digest]


def _measured(model: Any, input_shape: tuple[int, int, int], classes: int) -> float:
    network = models.build(model.name, input_shape, classes, **model.options()).eval()
    with cpu_threads(1), torch.inference_mode():
        return measure_latency(network, torch.zeros(1, *input_shape), seconds=SECONDS).quartiles[1]
