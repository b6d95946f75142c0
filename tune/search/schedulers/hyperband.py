"""Asynchronous Hyperband (Li et al. 2018, https://arxiv.org/abs/1603.06560): brackets of ASHA with different graces."""

from __future__ import annotations

from tune.search.schedulers.asha import Asha, asha
from tune.spec.metric import Objective
from tune.spec.options.schedulers import HalvingSpec


def hyperband(spec: HalvingSpec, epochs: int, objective: Objective, seed: int) -> Asha:
    """Trials are divided among the brackets so that each bracket gets about as many epochs.

    In the paper (algorithm 1), a bracket of `rungs` rungs has `factor ** (rungs - 1) / rungs` times as many trials as
    the last one, which stops none.
    """

    def weight(rungs: int) -> float:
        return float(spec.reduction_factor ** (rungs - 1) / rungs)

    return asha(spec, epochs, objective, seed, weight)
