"""Whether a configuration can be trained at all and keeps to the constraints, known without training it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import data
import models
from search_spaces import Config
from tune.spec.checks import check_experiment, inspect_data
from tune.spec.experiment import DataSpec, Experiment
from tune.spec.search import SearchSpec


class Feasibility:
    """Checks configurations of one search; answers are kept, since spaces over the recipe ask for one model again."""

    def __init__(self, spec: SearchSpec, root: Path) -> None:
        self._spec = spec
        self._inspect = lru_cache(maxsize=64)(lambda source: inspect_data(source, root))
        self._cost = lru_cache(maxsize=4096)(self._measure)

    def __call__(self, config: Config) -> Mapping[str, Any] | None:
        """Parameters and multiply-adds per image, or None where the configuration is impossible or not wanted."""
        try:
            experiment = self._spec.experiment(config)
            info = self._inspect(experiment.data)
        except (ValidationError, data.DataError):
            return None
        if check_experiment(experiment, info):
            return None
        cost = self._cost(experiment.model, info.input_shape, len(info.classes))
        facts = {"parameters": cost.parameters, "mult_adds": cost.mult_adds}
        bounds = {name: getattr(self._spec.constraints, name) for name in facts}
        return facts if all(bound is None or bound.holds(facts[name]) for name, bound in bounds.items()) else None

    def info(self, source: DataSpec) -> data.DatasetInfo:
        """Shape, classes and size of a data set."""
        return self._inspect(source)

    @staticmethod
    def _measure(model: Any, input_shape: tuple[int, int, int], classes: int) -> models.Cost:
        return models.cost_of(model.name, input_shape, classes, **model.options())


def facts_of(experiment: Experiment, info: data.DatasetInfo) -> dict[str, Any]:
    """Parameters and multiply-adds per image of one experiment."""
    cost = models.cost_of(experiment.model.name, info.input_shape, len(info.classes), **experiment.model.options())
    return {"parameters": cost.parameters, "mult_adds": cost.mult_adds}
