"""Quasi-Monte Carlo search: a Sobol sequence covers the space more evenly than random points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy

from search_spaces import Config
from tune.record.trial import TrialRecord
from tune.search.samplers.encoding import Encoding
from tune.search.samplers.sampler import Sampler, Task
from tune.spec.search import derived_seed

OTHERS = 50  # random points, should that of the sequence be taken or impossible


def sobol(encoding: Encoding, seed: int, number: int) -> Iterator[Config]:
    """The configuration of this number in a scrambled Sobol sequence, then random ones."""
    width = len(encoding.axes)
    sequence = scipy.stats.qmc.Sobol(width, rng=np.random.default_rng(seed)).random_base2(number.bit_length())
    others = np.random.default_rng(derived_seed(seed, number)).random((OTHERS, width))
    yield from map(encoding.config, encoding.snap(np.vstack([sequence[number], others])))


class QuasiRandomSampler(Sampler):
    """One configuration of the sequence after the other, whatever the results."""

    kind = "quasi-random"

    def __init__(self, task: Task) -> None:
        self._encoding, self._seed = Encoding(task.space), task.seed

    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        """As `Sampler.proposals`."""
        return sobol(self._encoding, self._seed, number)
