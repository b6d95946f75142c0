"""Asynchronous successive halving (ASHA; Li et al. 2018, https://arxiv.org/abs/1810.05934), both types."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from tune.record.pareto import Point, best_first, dominators, rank_of
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.schedulers.verdict import CONTINUE, PAUSE, Action, Scheduler, Verdict
from tune.spec.metric import Objective
from tune.spec.options.schedulers import HalvingSpec
from tune.spec.search import derived_seed


@dataclass
class Rung:
    """An epoch at which trials are judged: the first whole epoch from `milestone` on."""

    milestone: float
    values: dict[int, float] = field(default_factory=dict)
    """By trial; large is good."""
    others: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """By trial, with several objectives: the costs of the others; small is good."""
    promoted: set[int] = field(default_factory=set)
    """The trials that have continued from here."""

    @property
    def epoch(self) -> int:
        """The epoch at which trials are judged."""
        return math.ceil(self.milestone)

    def cutoff(self, reduction_factor: float) -> float:
        """The least value among the best 1 / `reduction_factor`; NaN at an empty rung."""
        if not self.values:
            return math.nan
        return float(np.percentile(list(self.values.values()), 100 * (1 - 1 / reduction_factor)))

    @property
    def ranking(self) -> list[int]:
        """Its trials, best first; with several objectives by non-dominated rank, then by crowding distance."""
        if self.others:
            return best_first(self.points)
        return sorted(self.values, key=lambda number: (-self.values[number], number))

    @property
    def points(self) -> dict[int, Point]:
        """With several objectives: the costs of each trial."""
        return {number: (-value, *self.others[number]) for number, value in self.values.items()}


class Asha(Scheduler):
    """The rungs of ASHA and who stands on them.

    Rungs and brackets are those of Ray Tune's `AsyncHyperBandScheduler`, except that a trial's bracket depends on the
    search's seed and the trial's number, not on NumPy's global state.
    """

    def __init__(
        self,
        spec: HalvingSpec,
        epochs: int,
        objective: Objective,
        seed: int,
        weight: Callable[[int], float] = math.exp,
    ) -> None:
        """`weight` is that of a bracket with so many rungs; by default as in Ray Tune."""
        self._objective = objective
        self._sign = 1.0 if objective.metric.goal == "max" else -1.0
        self._seed, self._factor, self._epochs = seed, spec.reduction_factor, epochs
        brackets = (_rungs(spec, epochs, bracket) for bracket in range(spec.brackets or epochs))
        self._brackets = [rungs for rungs in brackets if rungs]
        self._weights = [weight(len(rungs)) for rungs in self._brackets]

    @property
    def rungs(self) -> list[tuple[int, int]]:
        """Pairs (epoch at which trials are judged, number of results there), over all brackets, by epoch."""
        counts: dict[int, int] = {}
        for rung in (rung for rungs in self._brackets for rung in rungs):
            counts[rung.epoch] = counts.get(rung.epoch, 0) + len(rung.values)
        return sorted(counts.items())

    def bracket_of(self, number: int) -> int:
        """The bracket of a trial, drawn with weights that favor brackets with more rungs."""
        source = random.Random(derived_seed(self._seed, number))
        return source.choices(range(len(self._brackets)), self._weights)[0]

    def judge(self, number: int, epoch: int, value: float, others: tuple[float, ...] = ()) -> Verdict:
        """Enter a trial's value at the highest rung that it has reached, and decide whether it continues from there.

        Each trial is judged once per rung. Values that are not finite are not entered: such a trial ends by itself.
        """
        if not math.isfinite(value):
            return CONTINUE
        reached = (rung for rung in self._brackets[self.bracket_of(number)] if epoch >= rung.milestone)
        rung = next((rung for rung in reached if number not in rung.values), None)
        if rung is None:
            return CONTINUE
        if others:
            rung.others[number] = others
        return self._judge(rung, number, epoch, self._sign * value)

    def _judge(self, rung: Rung, number: int, epoch: int, value: float) -> Verdict:
        raise NotImplementedError

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """Restore the rungs from recorded trials.

        The last epoch of a trial that waits or runs is left out: the trial is judged there when it resumes, unless it
        was paused there before and has been promoted, or trains a further seed.
        """
        for trial in trials:
            last = trial.epochs[-1].epoch if trial.epochs else 0
            for epoch in trial.epochs:
                decided = epoch.epoch < last or trial.seed or trial.status not in (Status.WAITING, Status.RUNNING)
                judged = trial.judged_by(epoch, self._objective)
                if judged is not None and (decided or epoch.epoch == trial.promoted):
                    self.judge(trial.number, epoch.epoch, *judged)
            self._restore(trial, last)

    def _restore(self, trial: TrialRecord, last: int) -> None:
        """Restore what else is remembered about a trial."""


class StoppingAsha(Asha):
    """ASHA, stopping type: a trial that is not among the best at a rung ends there.

    Cut-offs are those of Ray Tune, except that no trial is stopped at a rung with fewer than `reduction_factor`
    results, since the second would be judged by a single value. With several objectives a trial goes on if it is among
    the best 1 / `reduction_factor` (rounded up) of those that stand there, itself included.
    """

    def _judge(self, rung: Rung, number: int, epoch: int, value: float) -> Verdict:
        cutoff, enough = rung.cutoff(self._factor), len(rung.values) + 1 >= math.ceil(self._factor)
        rung.values[number] = value
        if rung.others:
            place, standing = rung.ranking.index(number) + 1, len(rung.values)
            if not enough or place <= math.ceil(standing / self._factor):
                return CONTINUE
            front = rank_of(rung.points)[number]
            reason = f"asha: place {place} of {standing} at epoch {epoch}, in front {front}"
            return Verdict(Action.STOP, reason)
        if enough and value < cutoff:
            reason = f"asha: {self._sign * value:.6g} at epoch {epoch}, cut-off {self._sign * cutoff:.6g}"
            return Verdict(Action.STOP, reason)
        return CONTINUE


class PromotingAsha(Asha):
    """ASHA, promotion type (section 3.1 of the paper): a trial pauses at each rung.

    It continues when it is among the best 1 / `reduction_factor` there, no more than that share of the rung has
    continued, and a worker is free; the highest rung comes first. So a search spends its first epochs on many short
    trials, where the stopping type trains its first trials to the end, because nobody stands on the rungs yet. The
    limit (D-ASHA; Li et al. 2022, https://arxiv.org/abs/2201.06834, section 4.2) is for samplers that learn: their
    trials get better and better, so that nearly each is among the best when it comes, and would continue.

    Every second promotion at a rung is that of the trial with the greatest expected improvement at its last epoch,
    where the sampler can tell: a rank after few epochs is unfair to configurations that start slowly, and what has been
    seen to end badly need not be seen again.

    When no trial can be started any more and none runs, the best of the highest rung continues even if fewer than
    `reduction_factor` stand there, so that the search ends with a trial that has run all its epochs.
    """

    def _judge(self, rung: Rung, number: int, epoch: int, value: float) -> Verdict:
        rung.values[number] = value
        return CONTINUE if epoch >= self._epochs else PAUSE

    def promote(self, *, last: bool) -> int | None:
        """The best trial that may continue from the highest rung where there is one."""
        for rung in self._ladder():
            allowed = max(int(len(rung.values) / self._factor), int(last))
            if len(rung.promoted) >= allowed and not last:
                continue
            ranking = rung.ranking if last else self._ranking(rung)
            number = next((number for number in ranking[:allowed] if number not in rung.promoted), None)
            if number is not None:
                rung.promoted.add(number)
                return number
        return None

    def _ranking(self, rung: Rung) -> list[int]:
        """Its trials, the next to be promoted first."""
        if self.promise is None or len(rung.promoted) % 2 == 0:
            return rung.ranking
        promise = self.promise()
        return sorted(rung.ranking, key=lambda number: promise.get(number, -math.inf), reverse=True)

    def hopeless(self, left: int, unended: Collection[int]) -> set[int]:
        """Those that would not be among the best of their rung even if all that may still reach it did worse.

        As long as the sampler may choose more trials of a rung, there is no telling which.
        """
        found: set[int] = set()
        for rung in self._ladder():
            coming = left + sum(number not in rung.values for number in unended)
            allowed = max(int((len(rung.values) + coming) / self._factor), 1)
            if self.promise is not None and len(rung.promoted) < allowed:
                continue
            if rung.others:
                found |= self._dominated(rung, allowed) & set(unended)
                continue
            found |= {number for number in rung.ranking[allowed:] if number not in rung.promoted} & set(unended)
        return found

    def _dominated(self, rung: Rung, allowed: int) -> set[int]:
        """Those that so many others of their rung dominate, who will always come before them.

        Who only stands behind others may still pass them, as crowding distances change with whom the rung gets.
        """
        points = rung.points
        left = [number for number in points if number not in rung.promoted]
        return {number for number in left if dominators(points[number], points.values()) >= allowed}

    def _ladder(self) -> list[Rung]:
        """The rungs at which trials pause, the highest first."""
        rungs = [rung for rungs in self._brackets for rung in rungs if rung.epoch < self._epochs]
        return sorted(rungs, key=lambda rung: -rung.milestone)

    def _restore(self, trial: TrialRecord, last: int) -> None:
        for rung in self._brackets[self.bracket_of(trial.number)]:
            if trial.number in rung.values and (last > rung.epoch or trial.promoted == rung.epoch):
                rung.promoted.add(trial.number)


def _rungs(spec: HalvingSpec, epochs: int, bracket: int) -> list[Rung]:
    """The rungs of one bracket, from the highest down: `grace_period * reduction_factor ** k`, up to `epochs`."""
    grace, factor = min(spec.grace_period, epochs), spec.reduction_factor
    count = int(np.log(epochs / grace) / np.log(factor) - bracket + 1)
    return [Rung(grace * factor ** (k + bracket)) for k in reversed(range(count))]


def asha(
    spec: HalvingSpec, epochs: int, objective: Objective, seed: int, weight: Callable[[int], float] = math.exp
) -> Asha:
    """Asynchronous successive halving of the type that the specification names; `weight` as in `Asha`."""
    return (PromotingAsha if spec.type == "promotion" else StoppingAsha)(spec, epochs, objective, seed, weight)
