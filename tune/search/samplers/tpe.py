"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from tune.record.as_optuna import distribution
from tune.search.samplers.optuna_samplers import OptunaSampler
from tune.search.samplers.sampler import Task
from tune.spec.options.samplers import LearningSpec


class FixedSpaceTPE(TPESampler):
    """TPE over a space without conditions. Optuna's infers the space from all trials, at every draw."""

    def __init__(self, task: Task, **options: Any) -> None:
        super().__init__(**options)
        every = {field: distribution(domain) for field, domain in sorted(task.space.domains.items())}
        self._fields = {field: one for field, one in every.items() if not one.single()}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every field that has more than one value; all are drawn together."""
        return self._fields


def tpe(task: Task) -> OptunaSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011); random for the first `startup` trials.

    Running trials count as bad ones, so that no two workers are sent to the same place.
    """
    assert isinstance(task.spec, LearningSpec)
    startup = task.spec.startup

    def make(task: Task, number: int, seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group: needed for conditions
            options: dict[str, Any] = {"seed": seed, "n_startup_trials": startup, "constant_liar": True}
            if not any(domain.when for domain in task.space.domains.values()):
                return FixedSpaceTPE(task, **options)
            return TPESampler(**options, multivariate=True, group=True)

    return OptunaSampler(task, make, startup=startup)
