"""ASHA whose rungs are the record's: Ray's own brackets, rebuilt at every start, and patient at an empty rung."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler

from tune.record.status import Status
from tune.record.study import Direction, TrialRecord
from tune.search.sampler import derived_seed
from tune.spec.search import SchedulerSpec


class Asha:
    """Asynchronous successive halving (Li et al. 2018, arXiv 1810.05934), with Ray Tune's brackets and cut-offs.

    Beside Ray's: trials go on unjudged until `reduction_factor` results stand at a rung, for the first of a few workers
    would be judged against one value; a trial's bracket is drawn from the search's seed and its number, not from
    numpy's global state; and `replay` puts a search's past back.
    """

    def __init__(self, spec: SchedulerSpec, epochs: int, direction: Direction, seed: int) -> None:
        self._sign = 1.0 if direction == "max" else -1.0
        self._seed = seed
        self._need = math.ceil(spec.reduction_factor)
        self._brackets = AsyncHyperBandScheduler(
            max_t=epochs,
            grace_period=min(spec.grace_period, epochs),
            reduction_factor=spec.reduction_factor,
            brackets=spec.brackets,
        )._brackets
        self._weights = [math.exp(len(bracket._rungs)) for bracket in self._brackets]

    @property
    def rungs(self) -> list[tuple[int, int]]:
        """Pairs (first epoch at which a trial is judged, results that stand there), over all brackets, by epoch."""
        counts: dict[int, int] = {}
        for bracket in self._brackets:
            for milestone, standing in bracket._rungs:
                counts[math.ceil(milestone)] = counts.get(math.ceil(milestone), 0) + len(standing)
        return sorted(counts.items())

    def bracket_of(self, number: int) -> int:
        """The bracket of a trial: as in Ray, drawn with weights that favour brackets of more rungs."""
        source = random.Random(derived_seed(self._seed, number))
        return source.choices(range(len(self._brackets)), self._weights)[0]

    def judge(self, number: int, epoch: int, value: float) -> str | None:
        """Enter a trial's value at the rung it reached, if any; the reason to stop it, or None to go on.

        A value that is not finite stands at no rung: such a trial ends by itself.
        """
        if not math.isfinite(value):
            return None
        bracket = self._brackets[self.bracket_of(number)]
        for milestone, standing in bracket._rungs:  # from the highest down, as Ray judges
            if epoch < milestone or number in standing:
                continue
            enough = len(standing) + 1 >= self._need
            cutoff: Any = bracket.cutoff(standing)
            stand_in: Any = SimpleNamespace(trial_id=number)  # all that a bracket reads of a trial
            action = bracket.on_result(stand_in, epoch, self._sign * value)
            if action == AsyncHyperBandScheduler.STOP and enough:
                return f"asha: {value:.6g} at epoch {epoch}, cut-off {self._sign * cutoff:.6g}"
            return None
        return None

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """Put recorded trials back on their rungs.

        A trial that will go on is not put where it stands now: it is judged there (again) before it trains on.
        """
        for trial in trials:
            last = trial.epochs[-1].epoch if trial.epochs else 0
            for epoch in trial.epochs:
                undecided = epoch.epoch == last and trial.status in (Status.WAITING, Status.RUNNING)
                if not undecided and metric in epoch.values:
                    self.judge(trial.number, epoch.epoch, epoch.values[metric])
