"""Random search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optuna.samplers import RandomSampler

from search_spaces import Config
from tune.record.trial import TrialRecord
from tune.search.samplers.optuna_samplers import OptunaSampler
from tune.search.samplers.sampler import Task


class RandomSearch(OptunaSampler):
    """Configurations at random, whatever the results."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, lambda task, number, seed: RandomSampler(seed=seed), kind="random")

    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        """As `Sampler.proposals`."""
        return super().proposals((), number)
