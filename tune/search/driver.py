"""The driver: decides what is trained next, enters what comes back, judges it, and ends trials. Knows nothing of Ray.

Every decision is written to the record before it is acted on, and can be taken again from the record after a kill.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections import Counter
from collections.abc import Callable
from enum import Enum

from tune.record.disk import PATIENCE, FullDiskError
from tune.record.layout import SearchFolder
from tune.record.status import Status
from tune.record.study import Record, TrialRecord
from tune.search.attempt import Assignment, Report
from tune.search.events import Observer
from tune.search.retention import Retention
from tune.search.sampler import Proposer
from tune.search.scheduler import Asha
from tune.search.warm import WARM, records
from tune.spec.search import SearchSpec
from tune.training import EpochMetrics

LOSSES = 3  # how often a trial may lose its worker (a crash, a node gone) before it counts as failed

ENDS = {
    "epochs": (Status.COMPLETED, "all epochs"),
    "early_stopping": (Status.COMPLETED, "early stopping"),
    "diverged": (Status.DIVERGED, ""),
    "out_of_memory": (Status.OUT_OF_MEMORY, ""),
    "infeasible": (Status.INFEASIBLE, ""),
}


class Next(Enum):
    """What to do where there is no trial to start."""

    WAIT = "wait"
    """Nothing now; there may be something when a live trial ends."""
    DONE = "done"
    """Nothing any more."""


class Driver:
    """One search under way. `halt` is why it stops before its end, empty while it goes on."""

    def __init__(
        self,
        spec: SearchSpec,
        folder: SearchFolder,
        record: Record,
        proposer: Proposer,
        asha: Asha | None,
        observer: Observer,
        *,
        trials: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec, self.folder, self.record = spec, folder, record
        self.target = trials
        self.halt = ""
        self.exhausted = False
        self.asha = asha
        self.observer = observer
        self._proposer, self._clock = proposer, clock
        self.began = clock()
        self._retention = Retention(folder, spec.search.retention.best, record.metric, record.direction)
        self.trials: dict[int, TrialRecord] = {}
        self.live: dict[int, float] = {}  # number -> when it last gave a sign of life
        self._tokens: dict[int, str] = {}
        self._full_since: float | None = None  # when a worker first found the disk full
        self._restore()

    def _restore(self) -> None:
        for other in records(self.record.facts.get(WARM, ()), self.record.metric):
            self._proposer.see(other, self.record.metric, self.record.direction)
        resting = self.record.settle()
        for trial in self.record.trials():
            self.trials[trial.number] = trial
            self._proposer.see(trial, self.record.metric, self.record.direction)
        if self.asha is not None:
            self.asha.replay(self.trials.values(), self.record.metric)
        self._retention.restore(self.trials.values())
        self.ended_before = sum(trial.status.ended for trial in self.trials.values())
        if resting:
            self.observer.say(f"{len(resting)} trials were running when the search ended: they go on")

    # -- counts

    @property
    def counts(self) -> Counter[Status]:
        """Trials by status."""
        return Counter(trial.status for trial in self.trials.values())

    @property
    def left(self) -> int:
        """Trials that are still to be drawn; infeasible ones do not count."""
        return self.target - sum(trial.status is not Status.INFEASIBLE for trial in self.trials.values())

    @property
    def best(self) -> TrialRecord | None:
        """The best trial so far, live ones included."""
        metric, direction = self.record.metric, self.record.direction
        sign = 1 if direction == "min" else -1
        known = [
            (best.values[metric] * sign, t.number) for t in self.trials.values() if (best := t.best(metric, direction))
        ]
        return self.trials[min(known)[1]] if known else None

    @property
    def elapsed(self) -> float:
        """Seconds since this driver took the search up."""
        return self._clock() - self.began

    def seconds_left(self) -> float | None:
        """An estimate: each trial left takes as long as those ended under this driver; None before one did."""
        ended = sum(trial.status.ended for trial in self.trials.values()) - self.ended_before
        if ended <= 0:
            return None
        waiting = self.counts[Status.WAITING]
        return self.elapsed / ended * (max(self.left, 0) + waiting + len(self.live) / 2)

    # -- what comes next

    def next(self) -> Assignment | Next:
        """The next trial to start: one that waits, by number, else a new one."""
        try:
            return Next.DONE if self.halt else self._next()
        except FullDiskError as error:
            self.stop(f"failed: {error}")
            return Next.DONE

    def _next(self) -> Assignment | Next:
        waiting = [number for number, trial in self.trials.items() if trial.status is Status.WAITING]
        number = min(waiting, default=None) if waiting else self._draw()
        if number is None:
            return Next.WAIT if self.live else Next.DONE
        return self._start(number)

    def _draw(self) -> int | None:
        if self.left <= 0 or self.exhausted:
            return None
        number = len(self.trials)
        tried = [proposal for config in self.spec.first if (proposal := self._proposer.vet(config)) is not None]
        proposal = tried[0] if tried else self._proposer.propose(number)
        if proposal is None:
            self.exhausted = True
            self.observer.say(
                f"the space is exhausted: each of its possible configurations was tried ({number} trials)"
            )
            return None
        added = self.record.add(self.spec.space, proposal.config, proposal.facts)
        assert added == number, (added, number)
        self.trials[number] = TrialRecord(number, proposal.config, Status.WAITING, facts=proposal.facts)
        self._proposer.enter(number, proposal.config)
        return number

    def _start(self, number: int) -> Assignment:
        trial = self._change(number, status=Status.RUNNING)
        self.record.start(number)
        self.live[number] = self._clock()
        self._tokens[number] = uuid.uuid4().hex[:8]
        self.observer.started(number, trial.config, len(trial.epochs))
        return Assignment(number, self._tokens[number], trial.config)

    # -- what comes back

    def report(self, number: int, report: Report) -> bool:
        """Enter what a worker says; whether the trial is over for it."""
        try:
            return self._enter(number, report)
        except FullDiskError as error:
            self.stop(f"failed: {error}")
            return True

    def _enter(self, number: int, report: Report) -> bool:
        if number not in self.live:
            return True
        self.live[number] = self._clock()
        self._heed_pause(report)
        for metrics in report.epochs:
            if metrics.epoch > len(self.trials[number].epochs):
                trial = self.trials[number]
                self.record.epoch(number, metrics)
                self._change(number, epochs=(*trial.epochs, metrics))
                if self.record.metric in metrics.values:
                    self._proposer.report(number, metrics.epoch, metrics.values[self.record.metric])
                self.observer.epoch(number, metrics)
            if metrics is not report.epochs[-1]:
                self._enter_rung(number, metrics)  # it trained on from there: that was decided before
        if report.paused:
            return False
        if report.end is not None:
            self._end_as_reported(number, report)
            return True
        return self._judge(number)

    def _heed_pause(self, report: Report) -> None:
        """Say when workers begin and cease to wait for room on the disk; stop in order when that takes too long."""
        if report.paused and self._full_since is None:
            self._full_since = self._clock()
            self.observer.say(f"{report.reason}: paused for up to {PATIENCE:.0f} s; free some space and it goes on")
        elif report.paused and self._full_since is not None and self._clock() - self._full_since > PATIENCE:
            self.stop(f"failed: {report.reason} for more than {PATIENCE:.0f} s; free some space and resume")
        elif report.epochs and self._full_since is not None:
            self._full_since = None
            self.observer.say("there is room on the disk again: going on")

    def _judge(self, number: int) -> bool:
        """Whether the scheduler stops the trial at its last epoch."""
        epochs = self.trials[number].epochs
        if self.asha is None or not epochs or self.record.metric not in epochs[-1].values:
            return False
        reason = self.asha.judge(number, epochs[-1].epoch, epochs[-1].values[self.record.metric])
        if reason is not None:
            self._end(number, Status.STOPPED, reason)
        return reason is not None

    def _end_as_reported(self, number: int, report: Report) -> None:
        if report.end in ENDS:
            status, reason = ENDS[report.end]
            if report.end in ("epochs", "early_stopping") and self.trials[number].epochs:
                self._enter_rung(number, self.trials[number].epochs[-1])
            self._end(number, status, reason or report.reason)
        else:
            self._failed(number, report.reason, report.detail)

    def _enter_rung(self, number: int, metrics: EpochMetrics) -> None:
        """Stand at the rung of an epoch without being judged, for those who come after."""
        if self.asha is not None and self.record.metric in metrics.values:
            self.asha.judge(number, metrics.epoch, metrics.values[self.record.metric])

    def _failed(self, number: int, reason: str, detail: str) -> None:
        """A bug, perhaps of the trial alone: tried again up to a set number, then FAILED with its last lines."""
        attempts = int(self.trials[number].facts.get("attempts", 0)) + 1
        self._fact(number, "attempts", attempts)
        if detail:
            self._fact(number, "error", detail)
        if attempts <= self.spec.search.failures.retries:
            self._rest(number, f"{reason}; tried again")
        else:
            self._end(number, Status.FAILED, reason)
            self._end_hopeless()

    def _end_hopeless(self) -> None:
        """Several failures in a row from the start are not the trials' fault."""
        ended = [trial for trial in self.trials.values() if trial.status.ended]
        if len(ended) >= self.spec.search.failures.consecutive and all(t.status is Status.FAILED for t in ended):
            self.stop(f"failed: the first {len(ended)} trials all failed; the last: {ended[-1].reason}")

    def lost(self, number: int, reason: str, *, out_of_memory: bool = False) -> None:
        """A worker died under a trial: put it back, unless that happened too often or memory was the cause."""
        if number not in self.live:
            return
        if out_of_memory:
            self._end(number, Status.OUT_OF_MEMORY, reason)
            return
        losses = int(self.trials[number].facts.get("losses", 0)) + 1
        self._fact(number, "losses", losses)
        if losses <= LOSSES:
            self._rest(number, f"{reason}; goes on from its last checkpoint")
        else:
            self._end(number, Status.FAILED, f"lost its worker {losses} times: {reason}")
            self._end_hopeless()

    def turn(self) -> list[int]:
        """Called a few times a second: the display, the time budget, hung trials (returned)."""
        self.observer.tick(self)
        budget = self.spec.search.time_budget
        if budget is not None and self.elapsed > budget:
            self.stop(f"the time budget of {budget:g} s is spent")
        return self._hung()

    def _hung(self) -> list[int]:
        """Live trials without an epoch for longer than `search.epoch_timeout`: ended here; the caller stops them."""
        limit = self.spec.search.epoch_timeout
        if limit is None:
            return []
        late = [number for number, since in self.live.items() if self._clock() - since > limit]
        for number in late:
            self._end(number, Status.FAILED, "hung")
        return late

    # -- ends

    def stop(self, reason: str) -> None:
        """End the search before its end; live trials are put back to wait by `rest_all`."""
        self.halt = self.halt or reason

    def rest_all(self) -> None:
        """Put every live trial back to wait, its epochs kept."""
        for number in list(self.live):
            self._rest(number, "")

    def _rest(self, number: int, reason: str) -> None:
        self.live.pop(number, None)
        self.record.rest(number)
        self._change(number, status=Status.WAITING)
        self.observer.ended(number, Status.WAITING, reason)

    def _end(self, number: int, status: Status, reason: str) -> None:
        self.live.pop(number, None)
        self.record.end(number, status, reason)
        trial = self._change(number, status=status, reason=reason)
        best = trial.best(self.record.metric, self.record.direction)
        self._proposer.end(number, status, best.values[self.record.metric] if best else None)
        self._retention.ended(trial)
        self.observer.ended(number, status, reason)

    def _fact(self, number: int, key: str, value: object) -> None:
        self.record.fact(number, key, value)
        self._change(number, facts={**self.trials[number].facts, key: value})

    def _change(self, number: int, **changes: object) -> TrialRecord:
        self.trials[number] = dataclasses.replace(self.trials[number], **changes)  # type: ignore[arg-type]
        return self.trials[number]
