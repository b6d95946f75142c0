"""A sampler that learns from unfinished trials: a Gaussian process over configurations and epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from search_spaces import Config, config_key
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.samplers.encoding import Encoding, Points
from tune.search.samplers.gaussian_process import GaussianProcess
from tune.search.samplers.qmc import sobol
from tune.search.samplers.sampler import RANDOM_START, Sampler, Task
from tune.spec.metric import Objective
from tune.spec.options.samplers import LearningSpec
from tune.spec.search import derived_seed

Array = NDArray[np.float64]

MOST_ROWS = 150  # observations that the process is fitted to
BEST_ROWS = 40  # of these, the best of all
DEEP_ROWS = 60  # and those of the highest epochs, which few trials reach; the others are the latest
CANDIDATES = 1000
NEIGHBOURS = 300  # variations of the best candidates, in each of three rounds
FAR = 10.0  # losses so many times the median, and all beyond, count as equal: how badly a trial diverges says nothing
KEPT = 50  # candidates that survive a round


class GaussianProcessSampler(Sampler):
    """Expected improvement at the last epoch, predicted from every epoch at which trials were judged.

    A Gaussian process over (configuration, logarithm of the epoch) is fitted to the best value of each trial up to each
    rung that it reached, and asked about the last epoch. So a trial that was stopped after one epoch tells about the
    whole curve of its neighbours. The first trials are a Sobol sequence.

    Values are compared on a scale that outliers do not rule (`scaled`); a configuration that diverged or ran out of
    memory counts as the worst. The improvement is that below the best value reached so far, whatever the epoch.
    Running trials count as if they ended as predicted, so that no two workers are sent to the same place. A
    proposal that is expected to be better than the best is there to `exploit` what is known, any other to
    `explore`. The same improvement tells which of the paused trials are worth going on with.
    """

    weighs = True

    def __init__(self, task: Task) -> None:
        assert isinstance(task.spec, LearningSpec)
        self._task, self._encoding, self.startup = task, Encoding(task.space), task.spec.startup

    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        """As `Sampler.proposals`."""
        known, rows = self._learned(trials)
        if not rows:
            self.kind = RANDOM_START
            yield from sobol(self._encoding, self._task.seed, number)
            return
        yield from self._improving(known, rows, np.random.default_rng(derived_seed(self._task.seed, number)))

    def promise(self, trials: Sequence[TrialRecord]) -> Mapping[int, float]:
        """As `Sampler.promise`: the logarithm of the expected improvement."""
        known, rows = self._learned(trials)
        if not rows:
            return {}
        points = self._points(known)
        process, reached = self._fitted(known, points, rows)
        found = log_expected_improvement(reached, *process.predict(self._inputs(points)))
        return {trial.number: float(value) for trial, value in zip(known, found, strict=True)}

    def _learned(self, trials: Sequence[TrialRecord]) -> tuple[list[TrialRecord], list[tuple[int, int, float]]]:
        """The trials that may be learned from, and the observations; none as long as there are too few."""
        known = [trial for trial in trials if trial.status is not Status.INFEASIBLE and trial.config]
        rows = self._rows(known)
        enough = len({row[0] for row in rows}) >= max(self.startup, 2)
        return known, thinned(rows) if enough else []

    def _rows(self, trials: Sequence[TrialRecord]) -> list[tuple[int, int, float]]:
        """Observations as (index of the trial, epoch, cost): infinite cost for a configuration that cannot be used."""
        rows: list[tuple[int, int, float]] = []
        objective, rungs = self._task.objective, self._task.rungs
        for index, trial in enumerate(trials):
            if trial.status.bad:
                rows.append((index, self._task.epochs, math.inf))
                continue
            best, last = math.inf, len(trial.epochs)
            for epoch in trial.epochs:
                cost = objective.cost(epoch.values)
                best = best if cost is None else min(best, cost)
                if epoch.epoch == last and trial.replicates and (mean := trial.cost(objective)) is not None:
                    best = mean  # over its seeds
                if math.isfinite(best) and (epoch.epoch in rungs or (epoch.epoch == last and trial.status.ended)):
                    rows.append((index, epoch.epoch, best))
        return rows

    def _improving(
        self, trials: Sequence[TrialRecord], rows: list[tuple[int, int, float]], generator: np.random.Generator
    ) -> Iterator[Config]:
        encoding, points = self._encoding, self._points(trials)
        process, reached = self._fitted(trials, points, rows)
        seen = points[sorted({index for index, _, _ in rows})]
        means, _ = process.predict(self._inputs(seen))
        best = float(means.min())
        candidates = self._candidates(process, reached, seen[np.argsort(means)[:5]], generator)
        known = {config_key(trial.config) for trial in trials}
        for point in candidates:
            config = encoding.config(point)
            if (key := config_key(encoding.space.canonical(config))) not in known:
                known.add(key)
                mean, _ = process.predict(self._inputs(point[None]))
                self.kind = "exploit" if float(mean[0]) <= best else "explore"
                yield config

    def _points(self, trials: Sequence[TrialRecord]) -> Points:
        return self._encoding.snap(self._encoding.points([trial.config for trial in trials]))

    def _fitted(
        self, trials: Sequence[TrialRecord], points: Points, rows: list[tuple[int, int, float]]
    ) -> tuple[GaussianProcess, float]:
        """A process fitted to observations, where running trials end as predicted, and the least of the values."""
        inputs = self._inputs(points[[index for index, _, _ in rows]], np.array([epoch for _, epoch, _ in rows]))
        values = scaled(np.array([cost for *_, cost in rows]), self._task.objective)
        process = GaussianProcess.fit(inputs, values)
        if running := [index for index, trial in enumerate(trials) if trial.status in (Status.RUNNING, Status.WAITING)]:
            at_end = self._inputs(points[running])
            process = process.with_observations(at_end, process.predict(at_end)[0])
        return process, float(values.min())

    def _inputs(self, points: Points, epochs: Array | None = None) -> Array:
        """Points and epochs (by default the last) as inputs of the process."""
        last = self._task.epochs
        at = np.ones(len(points)) if epochs is None or last == 1 else np.log(epochs) / math.log(last)
        return np.column_stack([self._encoding.features(points), at])

    def _candidates(
        self, process: GaussianProcess, best: float, centers: Points, generator: np.random.Generator
    ) -> Points:
        """The points of greatest expected improvement found, best first: random ones, then variations of the best."""
        encoding, width = self._encoding, len(self._encoding.axes)
        found = encoding.snap(
            np.vstack(
                [
                    generator.random((CANDIDATES, width)),
                    varied(centers, CANDIDATES // 2, 0.1, generator),
                    varied(centers, CANDIDATES // 2, 0.3, generator),
                ]
            )
        )
        for spread in (0.1, 0.05, 0.02, 0.0):
            order = np.argsort(-log_expected_improvement(best, *process.predict(self._inputs(found))), kind="stable")
            if spread:
                top = found[order[:KEPT]]
                found = np.vstack([top, encoding.snap(varied(top[:20], NEIGHBOURS, spread, generator))])
        ranked: Points = found[order]
        return ranked


def thinned(rows: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """At most `MOST_ROWS`: the best, those of the highest epochs, and the latest."""
    if len(rows) <= MOST_ROWS:
        return rows
    every = range(len(rows))
    best = sorted(every, key=lambda index: rows[index][2])
    deep = sorted(every, key=lambda index: (rows[index][2] == math.inf, -rows[index][1], -index))
    kept = {*best[:BEST_ROWS], *deep[:DEEP_ROWS]}
    others = [index for index in every if index not in kept]
    return [rows[index] for index in sorted([*kept, *others[len(kept) - MOST_ROWS :]])]


def scaled(costs: Array, objective: Objective) -> Array:
    """Costs (N, infinite ones among them) with mean 0 and variance 1, on a scale that outliers do not rule.

    Losses are compared by their logarithms, accuracies by those of their errors; beyond `FAR` times the median all are
    as bad. An infinite cost is as bad as the worst finite one.
    """
    finite = np.isfinite(costs)
    if not finite.any():
        return np.zeros(len(costs))
    errors = np.where(finite, costs, costs[finite].max())
    if objective.metric.unit == "%":
        errors = 1 + errors
    if (errors >= 0).all():
        if not errors.any():
            return np.zeros(len(costs))
        errors = np.log(np.maximum(errors, errors[errors > 0].min() / 2))
        errors = np.minimum(errors, np.median(errors) + math.log(FAR))
    else:  # such as bounds of log-likelihoods: linear near the median, logarithmic far from it
        from_median = errors - np.median(errors)
        errors = np.arcsinh(from_median / (np.median(np.abs(from_median)) or 1.0))
    if np.ptp(errors) == 0:  # their standard deviation may be a rounding error
        return np.zeros(len(costs))
    result: Array = (errors - errors.mean()) / errors.std()
    return result


def varied(points: Points, count: int, spread: float, generator: np.random.Generator) -> Points:
    """Points near some of those given: about a third of the coordinates moved, at least one."""
    chosen = points[generator.integers(len(points), size=count)]
    moved = generator.random(chosen.shape) < max(0.3, 2 / chosen.shape[1])
    moved[np.arange(count), generator.integers(chosen.shape[1], size=count)] = True
    result: Points = np.clip(chosen + moved * generator.normal(0, spread, chosen.shape), 0, 1)
    return result


def log_expected_improvement(best: float, means: Array, deviations: Array) -> Array:
    """Logarithm of the expected improvement below `best`, also where that is too small for a float.

    Far below, it is approximated by phi(z) / z^2 (Ament et al. 2023, https://arxiv.org/abs/2310.20708, appendix A).
    """
    z = (best - means) / deviations
    log_density = -(z**2) / 2 - math.log(2 * math.pi) / 2
    near = np.maximum(z, -5.0)
    value = np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi) + near * np.exp(scipy.special.log_ndtr(near))
    far = log_density - 2 * np.log(np.maximum(-z, 5.0))
    result: Array = np.where(z > -5, np.log(np.maximum(value, 1e-300)), far) + np.log(deviations)
    return result
