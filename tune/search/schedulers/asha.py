"""Asynchronous successive halving (ASHA), stopping type."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tune.record.status import Status
from tune.record.study import TrialRecord
from tune.search.seeds import derived_seed
from tune.spec.metric import Objective
from tune.spec.search import SchedulerSpec


@dataclass
class Rung:
    """An epoch at which trials are judged: the first whole epoch from `milestone` on."""

    milestone: float
    values: dict[int, float] = field(default_factory=dict)
    """By trial; large is good."""

    def cutoff(self, reduction_factor: float) -> float:
        """The least value among the best 1 / `reduction_factor`; NaN at an empty rung."""
        if not self.values:
            return math.nan
        return float(np.percentile(list(self.values.values()), 100 * (1 - 1 / reduction_factor)))


class Asha:
    """Asynchronous successive halving (Li et al. 2018, https://arxiv.org/abs/1810.05934), stopping type.

    Rungs, brackets and cut-offs are those of Ray Tune's `AsyncHyperBandScheduler`, with these differences: no trial is
    stopped at a rung with fewer than `reduction_factor` results, since the second would be judged by a single value; a
    trial's bracket depends on the search's seed and the trial's number, not on NumPy's global state; and `replay`
    restores the rungs from a record.
    """

    def __init__(self, spec: SchedulerSpec, epochs: int, objective: Objective, seed: int) -> None:
        self._sign = 1.0 if objective.metric.goal == "max" else -1.0
        self._seed, self._factor = seed, spec.reduction_factor
        self._needed = math.ceil(spec.reduction_factor)
        self._brackets = [_rungs(spec, epochs, bracket) for bracket in range(spec.brackets)]
        self._weights = [math.exp(len(rungs)) for rungs in self._brackets]

    @property
    def rungs(self) -> list[tuple[int, int]]:
        """Pairs (epoch at which trials are judged, number of results there), over all brackets, by epoch."""
        counts: dict[int, int] = {}
        for rung in (rung for rungs in self._brackets for rung in rungs):
            epoch = math.ceil(rung.milestone)
            counts[epoch] = counts.get(epoch, 0) + len(rung.values)
        return sorted(counts.items())

    def bracket_of(self, number: int) -> int:
        """The bracket of a trial, drawn with weights that favor brackets with more rungs, as in Ray Tune."""
        source = random.Random(derived_seed(self._seed, number))
        return source.choices(range(len(self._brackets)), self._weights)[0]

    def judge(self, number: int, epoch: int, value: float) -> str | None:
        """Enter a trial's value at the highest rung that it has reached; the reason to stop it there, or None.

        Each trial is judged once per rung. Values that are not finite are not entered: such a trial ends by itself.
        """
        if not math.isfinite(value):
            return None
        reached = (rung for rung in self._brackets[self.bracket_of(number)] if epoch >= rung.milestone)
        rung = next((rung for rung in reached if number not in rung.values), None)
        if rung is None:
            return None
        cutoff, enough = rung.cutoff(self._factor), len(rung.values) + 1 >= self._needed
        rung.values[number] = self._sign * value
        if enough and self._sign * value < cutoff:
            return f"asha: {value:.6g} at epoch {epoch}, cut-off {self._sign * cutoff:.6g}"
        return None

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """Restore the rungs from recorded trials.

        The last epoch of a trial that has not ended is left out: the trial is judged there when it resumes.
        """
        for trial in trials:
            last = trial.epochs[-1].epoch if trial.epochs else 0
            for epoch in trial.epochs:
                undecided = epoch.epoch == last and trial.status in (Status.WAITING, Status.RUNNING)
                if not undecided and metric in epoch.values:
                    self.judge(trial.number, epoch.epoch, epoch.values[metric])


def _rungs(spec: SchedulerSpec, epochs: int, bracket: int) -> list[Rung]:
    """The rungs of one bracket, from the highest down: `grace_period * reduction_factor ** k`, up to `epochs`."""
    grace, factor = min(spec.grace_period, epochs), spec.reduction_factor
    count = int(np.log(epochs / grace) / np.log(factor) - bracket + 1)
    return [Rung(grace * factor ** (k + bracket)) for k in reversed(range(count))]
