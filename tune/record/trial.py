"""What the record says about one trial, read from the attributes in which `Record` keeps it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, chain
from operator import attrgetter
from statistics import fmean, stdev
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search_spaces import Config
from tune.record.status import Status
from tune.spec.metric import FACTS, EpochMetrics, Objective

EPOCH = "epoch:"  # what the keys of the attributes with metrics begin with
REPLICATE = "replicate:"  # the same for those of further seeds, such as `replicate:1:epoch:3` for the second seed
PROPOSED = "proposed"  # a fact: how its configuration was found, such as `random start` or `explore`
PAUSED, PROMOTED = "paused", "promoted"  # facts: the last epoch at which a trial was paused, and was promoted from
BY_HAND = "request"  # a fact: the request by which the trial was added
SEEDS = "seeds"  # a fact, with `search.seeds`: how each seed that is over has ended, as `status` and `reason`
NODE, GPU = "node", "gpu"  # facts: where its last attempt ran: the name of the node, the numbers of its GPUs there
SEED = "seed"  # a fact: which seed it trains, or has trained last; 0 is the first


@dataclass(frozen=True)
class TrialRecord:
    """What the record says about one trial."""

    number: int
    config: Config
    status: Status
    reason: str = ""
    epochs: tuple[EpochMetrics, ...] = ()
    """Of the first seed."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is known beside metrics: parameters, mult_adds, attempts."""
    started: datetime | None = None
    """When it began to run, the last time if it was resumed; local time."""
    ended_at: datetime | None = None
    """When it ended; None while it has not."""
    replicates: tuple[tuple[EpochMetrics, ...], ...] = ()
    """The epochs of each further seed, up to `seed`."""

    def best(self, objective: Objective) -> EpochMetrics | None:
        """The best epoch of the first seed: the earlier of two equals, None where none has a finite value."""
        return objective.best(self.epochs)

    def results(self, objective: Objective) -> list[Mapping[str, float]]:
        """The metrics of the best epoch of the first seed, and of each further one that has trained to its end."""
        ended = [seed["status"] == Status.COMPLETED for seed in self.facts.get(SEEDS, ())][1:]
        runs = [self.epochs, *(run for run, good in zip(self.replicates, ended, strict=False) if good)]
        return [best.values for run in runs if (best := objective.best(run)) is not None]

    def result(self, objective: Objective) -> dict[str, float] | None:
        """What to compare the trial by: the means of `results`, and what is known of its model; None without."""
        results = self.results(objective)
        if not results:
            return None
        means = {name: fmean(values[name] for values in results) for name in results[0]}
        return self.with_facts(means if len(results) > 1 else results[0])

    def spread(self, objective: Objective, name: str) -> float | None:
        """The standard deviation of a metric over its seeds (ddof 1); None with fewer than two."""
        values = [values[name] for values in self.results(objective) if name in values]
        return stdev(values) if len(values) > 1 else None

    def cost(self, objective: Objective) -> float | None:
        """What to rank the trial by, small is good: the cost of its result; None without one."""
        result = self.result(objective)
        return None if result is None else objective.cost(result)

    def costs(self, objective: Objective) -> tuple[float, ...] | None:
        """The same for each of several objectives; None if one is not known."""
        result = self.result(objective)
        return None if result is None else objective.costs(result)

    def with_facts(self, values: Mapping[str, float]) -> dict[str, float]:
        """The metrics of an epoch, and what is known of the trial's model."""
        return {**{name: self.facts[name] for name in FACTS if name in self.facts}, **values}

    def judged_by(self, epoch: EpochMetrics, objective: Objective) -> tuple[float, tuple[float, ...]] | None:
        """What a scheduler judges it by after an epoch: the metric's value, and with several objectives the costs of
        the others; None if one is missing.
        """
        values = self.with_facts(epoch.values)
        value, others = values.get(objective.metric.name), objective.other_costs(values)
        return None if value is None or others is None else (value, others)

    @property
    def seed(self) -> int:
        """Which of its seeds it trains, or has trained last; 0 is the first."""
        return int(self.facts.get(SEED, 0))

    @property
    def current(self) -> tuple[EpochMetrics, ...]:
        """The epochs of that seed."""
        return (self.epochs, *self.replicates)[self.seed]

    def with_epoch(self, metrics: EpochMetrics) -> TrialRecord:
        """The trial with one more epoch of that seed."""
        if self.seed == 0:
            return dataclasses.replace(self, epochs=(*self.epochs, metrics))
        return dataclasses.replace(self, replicates=(*self.replicates[:-1], (*self.current, metrics)))

    @property
    def every_epoch(self) -> tuple[EpochMetrics, ...]:
        """The epochs of all seeds, in the order in which they were trained."""
        return tuple(chain(self.epochs, *self.replicates))

    @property
    def promoted(self) -> int:
        """The last epoch at which it was paused and from which it was chosen to continue; 0 if there is none."""
        return int(self.facts.get(PROMOTED, 0))

    @property
    def proposed(self) -> str:
        """How its configuration was found; empty if that was not recorded."""
        return "by hand" if BY_HAND in self.facts else str(self.facts.get(PROPOSED, ""))

    @property
    def added_by_hand(self) -> bool:
        """Whether it is one more than the number of trials that the search was to run."""
        return BY_HAND in self.facts and self.status is not Status.INFEASIBLE

    @property
    def tried(self) -> bool:
        """Whether it has shown what it is worth: it has ended, or was paused. Infeasible ones are no trials."""
        return self.status is not Status.INFEASIBLE and (self.status.ended or PAUSED in self.facts)

    @property
    def at_rest(self) -> TrialRecord:
        """The trial as it is when no process runs the search: what a process that died left running waits."""
        if self.status is not Status.RUNNING:
            return self
        return dataclasses.replace(self, status=_resting(self.facts))

    @property
    def seconds(self) -> float:
        """Seconds spent in its epochs, of all seeds."""
        return sum(epoch.seconds for epoch in self.every_epoch)

    @property
    def epoch_ends(self) -> list[float]:
        """When each epoch of the first seed ended, in seconds since 1970, as far as is known.

        The record has the last start and the end of a trial, and how long its epochs took. Those before a promotion
        or a further seed are taken to have ended at that start; other pauses between epochs are left out.
        """
        every = self.every_epoch
        last = time.time() if self.ended_at is None else self.ended_at.timestamp()
        earlier = len(every) - len(self.current) if self.seed else self.promoted
        before = sum(epoch.seconds for epoch in every[:earlier])
        first = last if self.started is None else self.started.timestamp() - before
        first = min(first, last - self.seconds)
        return [first + done for done in accumulate(epoch.seconds for epoch in self.epochs)]


def best_trial(trials: Iterable[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The best trial: the first of two equals, None where none has a finite value."""
    known = [(cost, trial.number, trial) for trial in trials if (cost := trial.cost(objective)) is not None]
    return min(known, key=lambda entry: entry[:2])[2] if known else None


def read_trial(trial: FrozenTrial) -> TrialRecord:
    """A trial of Optuna's, as `Record` writes it."""
    attrs = trial.user_attrs
    outcome = attrs.get("outcome") if trial.state.is_finished() else None
    if outcome:
        status, reason = Status(outcome["status"]), outcome["reason"]
    elif trial.state is TrialState.RUNNING:
        status, reason = Status.RUNNING, ""
    else:
        status, reason = _resting(attrs), ""
    known = {
        key: value
        for key, value in attrs.items()
        if not key.startswith((EPOCH, REPLICATE)) and key not in ("config", "outcome")
    }
    return TrialRecord(
        trial.number,
        attrs.get("config", {}),
        status,
        reason,
        _epochs(attrs, 0),
        known,
        trial.datetime_start,
        trial.datetime_complete,
        tuple(_epochs(attrs, seed) for seed in range(1, int(attrs.get(SEED, 0)) + 1)),
    )


def _resting(facts: Mapping[str, Any]) -> Status:
    """The status of a trial that has not ended and does not run."""
    return Status.PAUSED if facts.get(PAUSED, 0) > facts.get(PROMOTED, 0) else Status.WAITING


def epoch_key(seed: int) -> str:
    """What the keys of the attributes with the epochs of a seed begin with."""
    return f"{REPLICATE}{seed}:{EPOCH}" if seed else EPOCH


def _epochs(attrs: Mapping[str, Any], seed: int) -> tuple[EpochMetrics, ...]:
    prefix = epoch_key(seed)
    found = (EpochMetrics.from_dict(value) for key, value in attrs.items() if key.startswith(prefix))
    return tuple(sorted(found, key=attrgetter("epoch")))
