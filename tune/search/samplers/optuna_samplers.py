"""The samplers that `search.sampler.name` may name, as Optuna has them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search_spaces import Space
from tune.record.distributions import distribution
from tune.spec.search import SamplerSpec

MakeSampler = Callable[[Space, SamplerSpec, int], BaseSampler]
"""(space, specification, seed) -> a sampler. It is used for a single draw, and must remember nothing."""


class FixedSpaceTPE(TPESampler):
    """TPE over a space without conditions. Optuna's infers the space from all trials, at every draw."""

    def __init__(self, space: Space, **options: Any) -> None:
        super().__init__(**options)
        every = {field: distribution(domain) for field, domain in sorted(space.domains.items())}
        self._fields = {field: one for field, one in every.items() if not one.single()}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every field that has more than one value; all are drawn together."""
        return self._fields


def tpe(space: Space, spec: SamplerSpec, seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011); random for the first `startup_trials`."""
    if not any(domain.when for domain in space.domains.values()):
        return FixedSpaceTPE(space, seed=seed, n_startup_trials=spec.startup_trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group: needed for conditions
        return TPESampler(seed=seed, n_startup_trials=spec.startup_trials, group=True)


def uniform(space: Space, spec: SamplerSpec, seed: int) -> BaseSampler:
    """Random search."""
    return RandomSampler(seed=seed)


SAMPLERS: dict[str, MakeSampler] = {"tpe": tpe, "random": uniform}
"""By name, as in `SamplerSpec.name`."""
