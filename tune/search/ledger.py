"""The trials of a search in memory; each change is written to the record first."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.record.study import Record
from tune.record.trial import PAUSED, PROMOTED, SEED, SEEDS, TrialRecord, best_trial
from tune.search.samplers.proposer import Proposal, Proposer
from tune.search.schedulers import Scheduler
from tune.search.warm_start import WARM, records
from tune.spec.metric import EpochMetrics
from tune.spec.search import SearchSpec

SETTINGS = "settings"  # the note of the settings that were changed by hand while the search existed


class TimeLeft(NamedTuple):
    """How long a search will take from now: `seconds` as expected, or with `most` at most."""

    seconds: float
    most: bool


class Ledger:
    """The trials of a search.

    Attributes:
        trials: By number, in order.
        live: Trials being trained, and when each was last heard of (None: not yet placed on a node).
        waiting: Numbers of the trials that wait for a worker.
        paused: Numbers of the trials that the scheduler has paused.
        interrupted: Numbers of the trials that were live when an earlier driver died.
        added: How many trials were added by hand, infeasible ones not counted.
        tried: How many trials have ended or were paused, infeasible ones not counted.
        epochs_spent: Epochs of all trials and all seeds.
    """

    def __init__(
        self,
        spec: SearchSpec,
        folder: SearchFolder,
        record: Record,
        proposer: Proposer,
        scheduler: Scheduler,
        *,
        trials: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec, self.folder, self.record, self._wanted = spec, folder, record, trials
        self.proposer, self.scheduler, self.clock = proposer, scheduler, clock
        self.began = clock()
        self.trials: dict[int, TrialRecord] = {}
        self.live: dict[int, float | None] = {}
        self.waiting: set[int] = set()
        self.paused: set[int] = set()
        self._counts: Counter[Status] = Counter()
        self.added = self.tried = self.epochs_spent = 0
        self._others = records(record.facts.get(WARM, ()), record.metric)
        self.interrupted = record.recover()
        for trial in record.trials():
            self._put(trial)
        self._tried_before = self.tried
        scheduler.replay(self.trials.values(), record.metric)
        if proposer.weighs:
            scheduler.promise = lambda: proposer.promise(self._known)

    # -- counts

    @property
    def counts(self) -> Counter[Status]:
        """Trials by status."""
        return +self._counts

    @property
    def target(self) -> int:
        """How many trials to run, infeasible ones not counted."""
        return self._wanted + self.added

    @property
    def left(self) -> int:
        """How many trials are still to be drawn, infeasible ones not counted."""
        return self.target - len(self.trials) + self._counts[Status.INFEASIBLE]

    @property
    def best(self) -> TrialRecord | None:
        """The best trial so far, including live ones."""
        return best_trial(self.trials.values(), self.record.objective)

    @property
    def elapsed(self) -> float:
        """Seconds since this driver started."""
        return self.clock() - self.began

    def time_left(self) -> TimeLeft | None:
        """An estimate: each trial left takes as long as those that were tried under this driver, promotions included.

        Until one has ended or paused, an upper bound: every trial left runs all the epochs it may, each as long as
        those of the live trials so far. None before the first epoch.
        """
        tried = self.tried - self._tried_before
        if tried > 0:
            trials = max(self.left, 0) + len(self.waiting) + len(self.live) / 2  # most paused ones never continue
            return TimeLeft(self.elapsed / tried * trials, most=False)
        begun = [self.trials[number] for number in (*self.live, *self.waiting)]
        seconds = [epoch.seconds for trial in begun for epoch in trial.every_epoch]
        if not seconds or not self.live:
            return None
        epochs = self.spec.longest * self.spec.search.seeds * (max(self.left, 0) + len(begun)) - len(seconds)
        return TimeLeft(statistics.fmean(seconds) * epochs / len(self.live), most=True)

    @property
    def kept_seconds(self) -> float:
        """Of the time budget, what `search.keep_for_retraining` keeps: as long as the best trial's epochs took."""
        seeds, best = self.spec.search.keep_for_retraining, self.best
        if not seeds or best is None:
            return 0.0
        return seeds * self.spec.longest * statistics.fmean(epoch.seconds for epoch in best.epochs)

    # -- changes

    def change_settings(self, spec: SearchSpec, names: Iterable[str]) -> None:
        """Use other settings from now on, also when the search is resumed. `names`: of `search`, those that differ."""
        settings = spec.search.model_dump(mode="json")
        changed = {name: settings[name] for name in names}
        if "trials" in changed:
            self._wanted = max(changed.pop("trials") - self.added, 0)
            self.record.note("trials", self._wanted)
        if changed:
            self.record.note(SETTINGS, {**self.record.facts.get(SETTINGS, {}), **changed})
        self.spec = spec

    def propose(self) -> Proposal | None:
        """A configuration for the next trial: those of `first`, then the sampler's; None if the space is exhausted."""
        return self.proposer.propose(self._known, len(self.trials), self.spec.first)

    @property
    def _known(self) -> list[TrialRecord]:
        """All trials that the sampler may learn from: also those of another search."""
        return [*self._others, *self.trials.values()]

    def add(self, proposal: Proposal) -> int:
        """Add a waiting trial; returns its number."""
        number = len(self.trials)
        added = self.record.add(self.spec.space, proposal.config, proposal.facts)
        assert added == number, (added, number)
        self._put(TrialRecord(number, proposal.config, Status.WAITING, facts=proposal.facts))
        return number

    def start(self, number: int) -> TrialRecord:
        """The trial is being trained from now on."""
        self.record.start(number)
        self.live[number] = None
        return self._change(number, status=Status.RUNNING)

    def heartbeat(self, number: int) -> None:
        """The trial was heard of: it was placed on a node, or reported."""
        if number in self.live:
            self.live[number] = self.clock()

    def epoch(self, number: int, metrics: EpochMetrics, facts: Mapping[str, str] | None = None) -> bool:
        """Record an epoch, and what is known of the trial since then; returns False if it was recorded before."""
        trial = self.trials[number]
        if metrics.epoch <= len(trial.current):
            return False
        self.record.epoch(number, metrics, trial.seed, facts)
        self._put(dataclasses.replace(trial.with_epoch(metrics), facts={**trial.facts, **(facts or {})}))
        return True

    def fact(self, number: int, key: str, value: object) -> None:
        """Record a fact about a trial."""
        self.record.fact(number, key, value)
        self._change(number, facts={**self.trials[number].facts, key: value})

    def count(self, number: int, key: str) -> int:
        """Count something that happened to a trial; returns how often it has."""
        times = int(self.trials[number].facts.get(key, 0)) + 1
        self.fact(number, key, times)
        return times

    def requeue(self, number: int) -> None:
        """Put a live trial back to wait, with its epochs."""
        self.live.pop(number, None)
        self.record.requeue(number)
        self._change(number, status=Status.WAITING)

    def seed_over(self, number: int, status: Status, reason: str) -> TrialRecord:
        """Record how a seed of a live trial has ended; doing so again changes nothing."""
        trial = self.trials[number]
        seeds = [*trial.facts.get(SEEDS, ())][: trial.seed]
        self.fact(number, SEEDS, [*seeds, {"status": str(status), "reason": reason}])
        return self.trials[number]

    def next_seed(self, number: int) -> TrialRecord:
        """Let a live trial wait for a worker, to train its next seed."""
        trial = self.trials[number]
        self.live.pop(number, None)
        self.record.next_seed(number, trial.seed + 1)
        facts = {**trial.facts, SEED: trial.seed + 1}
        return self._change(number, status=Status.WAITING, facts=facts, replicates=(*trial.replicates, ()))

    def pause(self, number: int) -> None:
        """Pause a live trial after its last epoch."""
        epoch = len(self.trials[number].epochs)
        self.live.pop(number, None)
        self.record.pause(number, epoch)
        self._change(number, status=Status.PAUSED, facts={**self.trials[number].facts, PAUSED: epoch})

    def promote(self, number: int) -> None:
        """Let a paused trial wait for a worker to continue."""
        epoch = len(self.trials[number].epochs)
        self.record.promote(number, epoch)
        self._change(number, status=Status.WAITING, facts={**self.trials[number].facts, PROMOTED: epoch})

    def end(self, number: int, status: Status, reason: str) -> TrialRecord:
        """End a trial; returns it as it ended."""
        self.live.pop(number, None)
        self.record.end(number, status, reason)
        return self._change(number, status=status, reason=reason)

    def _change(self, number: int, **changes: object) -> TrialRecord:
        trial = dataclasses.replace(self.trials[number], **changes)  # type: ignore[arg-type]
        self._put(trial)
        return trial

    def _put(self, trial: TrialRecord) -> None:
        """Replace a trial, and update the counts: the driver asks for them too often to count every trial each time."""
        if (before := self.trials.get(trial.number)) is not None:
            self._count(before, -1)
        self._count(trial, 1)
        self.trials[trial.number] = trial
        for status, numbers in ((Status.WAITING, self.waiting), (Status.PAUSED, self.paused)):
            (numbers.add if trial.status is status else numbers.discard)(trial.number)

    def _count(self, trial: TrialRecord, sign: int) -> None:
        self._counts[trial.status] += sign
        self.added += sign * trial.added_by_hand
        self.tried += sign * trial.tried
        self.epochs_spent += sign * len(trial.every_epoch)
