"""The median stopping rule (Golovin et al. 2017, "Google Vizier", section 3.2)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from tune.record.trial import TrialRecord
from tune.search.schedulers.verdict import CONTINUE, Action, Scheduler, Verdict
from tune.spec.metric import Objective
from tune.spec.options.schedulers import MedianSpec


class MedianStopping(Scheduler):
    """A trial stops if its best value so far is worse than the median of the other trials' averages.

    The averages are over the epochs up to the same one, of the trials that have reached it, as in Ray Tune's
    `MedianStoppingRule`. Values that are not finite are left out: such a trial ends by itself.
    """

    def __init__(self, spec: MedianSpec, epochs: int, objective: Objective, seed: int) -> None:
        self._sign = 1.0 if objective.metric.goal == "min" else -1.0
        self._grace, self._least = spec.grace_period, spec.min_trials
        self._costs: dict[int, dict[int, float]] = {}

    def judge(self, number: int, epoch: int, value: float, others: tuple[float, ...] = ()) -> Verdict:
        """As `Scheduler.judge`, by one objective."""
        self._enter(number, epoch, value)
        mine = self._costs.get(number, {})
        if epoch < self._grace or epoch not in mine:
            return CONTINUE
        averages = [
            statistics.fmean(cost for at, cost in costs.items() if at <= epoch)
            for other, costs in self._costs.items()
            if other != number and epoch in costs
        ]
        best = min(cost for at, cost in mine.items() if at <= epoch)
        if len(averages) < self._least or best <= (median := statistics.median(averages)):
            return CONTINUE
        reason = (
            f"median: {self._sign * best:.6g} at best by epoch {epoch}, median of averages {self._sign * median:.6g}"
        )
        return Verdict(Action.STOP, reason)

    def _enter(self, number: int, epoch: int, value: float) -> None:
        if math.isfinite(value):
            self._costs.setdefault(number, {})[epoch] = self._sign * value

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """As `Scheduler.replay`; an epoch that is judged again changes nothing."""
        for trial in trials:
            for epoch in trial.epochs:
                if metric in epoch.values:
                    self._enter(trial.number, epoch.epoch, epoch.values[metric])
