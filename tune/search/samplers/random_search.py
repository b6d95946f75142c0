"""Random search."""

from __future__ import annotations

from optuna.samplers import RandomSampler

from tune.search.samplers.optuna_samplers import OptunaSampler
from tune.search.samplers.sampler import Task


def random_search(task: Task) -> OptunaSampler:
    """Configurations at random, whatever the results."""
    return OptunaSampler(task, lambda task, number, seed: RandomSampler(seed=seed), kind="random")
