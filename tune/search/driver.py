"""The driver: decides what is trained next, enters what comes back, judges it, and ends trials. Knows nothing of Ray.

Every decision is written to the record before it is acted on, and can be taken again from the record after a kill.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from tune.record import disk
from tune.record.disk import UnwritableError
from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.record.study import Record
from tune.search.attempt import Assignment, Report
from tune.search.ends import hopeless
from tune.search.ledger import Ledger
from tune.search.observer import Observer
from tune.search.retention import Retention
from tune.search.samplers.proposer import Proposer
from tune.search.schedulers.asha import Asha
from tune.spec.search import SearchSpec
from tune.training import EpochMetrics

MAX_WORKER_DEATHS = 3  # how often a trial may lose its worker (a crash, a node gone) before it counts as failed

ENDS = {
    "epochs": (Status.COMPLETED, "all epochs"),
    "early_stopping": (Status.COMPLETED, "early stopping"),
    "diverged": (Status.DIVERGED, ""),
    "infeasible": (Status.INFEASIBLE, ""),
}


class NoTrial(Enum):
    """What to do where there is no trial to start."""

    WAIT = "wait"
    """Nothing now; there may be something when a live trial ends."""
    DONE = "done"
    """Nothing any more."""


class Driver(Ledger):
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
        super().__init__(spec, folder, record, proposer, asha, trials, clock)
        self.observer = observer
        self.halt = ""
        self.exhausted = False
        self._resumed: set[int] = set()  # live trials that had epochs and have not reported yet
        self._full_since: float | None = None  # when a worker first found the disk full
        self._retention = Retention(folder, spec.search.retention.best, record.objective, observer.say)
        self._retention.restore(self.trials.values())
        if self.resting:
            observer.say(f"{len(self.resting)} trials were running when the search ended: they go on")

    # -- what comes next

    def next(self) -> Assignment | NoTrial:
        """The next trial to start: one that waits, by number, else a new one."""
        with self._stopping_when_unwritable():
            return NoTrial.DONE if self.halt else self._next()
        return NoTrial.DONE

    def _next(self) -> Assignment | NoTrial:
        number = min(self.waiting) if self.waiting else self._draw()
        if number is None:
            return NoTrial.WAIT if self.live else NoTrial.DONE
        return self._start(number)

    def _draw(self) -> int | None:
        if self.left <= 0 or self.exhausted:
            return None
        known = (self.proposer.validate(config) for config in self.spec.first)
        proposal = next((one for one in known if one is not None), None) or self.proposer.propose(len(self.trials))
        if proposal is None:
            self.exhausted = True
            tried = f"{len(self.trials)} trials"
            self.observer.say(f"the space is exhausted: all that it holds and is possible was tried ({tried})")
            return None
        return self.add(proposal)

    def _start(self, number: int) -> Assignment:
        trial = self.start(number)
        if trial.epochs:
            self._resumed.add(number)
        self.observer.started(number, trial.config, len(trial.epochs))
        return Assignment(number, uuid.uuid4().hex[:8], trial.config)

    # -- what comes back

    def report(self, number: int, report: Report) -> bool:
        """Enter what a worker says; whether the trial is over for it."""
        with self._stopping_when_unwritable():
            return self._enter(number, report)
        return True

    @contextmanager
    def _stopping_when_unwritable(self) -> Iterator[None]:
        """A record that takes no more ends the search in order, whatever was to be written."""
        try:
            yield
        except UnwritableError as error:
            self.stop(f"failed: {error}")

    def _enter(self, number: int, report: Report) -> bool:
        if number not in self.live:
            return True
        self.heartbeat(number)
        self._heed_pause(report)
        for metrics in report.epochs:
            if self.epoch(number, metrics):
                self.observer.epoch(number, metrics)
            if metrics is not report.epochs[-1]:
                self._enter_rung(number, metrics)  # it trained on from there: that was decided before
        if report.paused:
            return False
        if report.end is not None:
            self._end_as_reported(number, report)
            return True
        return not self._behind(number, report) and self._judge(number)

    def _behind(self, number: int, report: Report) -> bool:
        """Whether a trial is at epochs that it reported before: it was judged there, and its best may be yet to come.

        Its checkpoint was missing or damaged, or older than the record.
        """
        reached, had = max((metrics.epoch for metrics in report.epochs), default=0), len(self.trials[number].epochs)
        if number in self._resumed and reached < had:
            self.observer.say(f"trial {number}: its checkpoint was missing or damaged; it trains to epoch {had} again")
        self._resumed.discard(number)
        return reached < had

    def _heed_pause(self, report: Report) -> None:
        """Say when workers begin and cease to wait for room on the disk; stop in order when that takes too long."""
        if report.paused and self._full_since is None:
            self._full_since = self.clock()
            self.observer.say(
                f"{report.reason}: paused for up to {disk.PATIENCE:.0f} s; free some space and it goes on"
            )
        elif report.paused and self._full_since is not None and self.clock() - self._full_since > disk.PATIENCE:
            self.stop(f"failed: {report.reason} for more than {disk.PATIENCE:.0f} s; free some space and resume")
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
        elif report.end == "out_of_memory":
            self._out_of_memory(number, report.reason)
        else:
            self._failed(number, report.reason, report.detail)

    def _enter_rung(self, number: int, metrics: EpochMetrics) -> None:
        """Stand at the rung of an epoch without being judged, for those who come after."""
        if self.asha is not None and self.record.metric in metrics.values:
            self.asha.judge(number, metrics.epoch, metrics.values[self.record.metric])

    def _failed(self, number: int, reason: str, detail: str) -> None:
        """A bug, perhaps of the trial alone: tried again up to a set number, then FAILED with its last lines."""
        if detail:
            self.fact(number, "error", detail)
        if self.count(number, "attempts") <= self.spec.search.failures.retries:
            self._requeue(number, f"{reason}; tried again")
        else:
            self._end(number, Status.FAILED, reason)

    def _out_of_memory(self, number: int, reason: str) -> None:
        """Perhaps its neighbours used the memory: while other trials are running, it is tried again once."""
        if len(self.live) > 1 and self.count(number, "out_of_memory") == 1:
            self._requeue(number, f"{reason}; trying once more, since other trials were using memory too")
        else:
            self._end(number, Status.OUT_OF_MEMORY, reason)

    def requeue(self, number: int, reason: str) -> None:
        """A worker is replaced before it has begun with a trial: put that back, and count it as nothing."""
        with self._stopping_when_unwritable():
            if number in self.live:
                self._requeue(number, reason)

    def worker_died(self, number: int, reason: str, *, out_of_memory: bool = False) -> None:
        """A worker died under a trial: put it back, unless that happened too often or memory was the cause."""
        with self._stopping_when_unwritable():
            if number in self.live:
                self._worker_died(number, reason, out_of_memory=out_of_memory)

    def _worker_died(self, number: int, reason: str, *, out_of_memory: bool) -> None:
        if out_of_memory:
            self._out_of_memory(number, reason)
            return
        losses = self.count(number, "losses")
        if losses <= MAX_WORKER_DEATHS:
            self._requeue(number, f"{reason}; goes on from its last checkpoint")
        else:
            self._end(number, Status.FAILED, f"lost its worker {losses} times: {reason}")

    def poll(self) -> list[int]:
        """Called a few times a second: the display, the time budget, hung trials (returned)."""
        self.observer.tick(self)
        budget = self.spec.search.time_budget
        if budget is not None and self.elapsed > budget:
            self.stop(f"the time budget of {budget:g} s is spent")
        with self._stopping_when_unwritable():
            return self._hung()
        return []

    def _hung(self) -> list[int]:
        """Live trials without an epoch for longer than `search.epoch_timeout`: ended here; the caller stops them."""
        limit = self.spec.search.epoch_timeout
        if limit is None:
            return []
        now = self.clock()
        late = [number for number, since in self.live.items() if since is not None and now - since > limit]
        for number in late:
            self._end(number, Status.FAILED, "hung")
        return late

    # -- ends

    def stop(self, reason: str) -> None:
        """End the search before its end; live trials are put back to wait by `requeue_all`."""
        self.halt = self.halt or reason

    def requeue_all(self) -> None:
        """Put every live trial back to wait, its epochs kept."""
        for number in list(self.live):
            self._requeue(number, "")

    def _requeue(self, number: int, reason: str) -> None:
        self.requeue_trial(number)
        self.observer.ended(number, Status.WAITING, reason)

    def _end(self, number: int, status: Status, reason: str) -> None:
        self._retention.ended(self.close(number, status, reason))
        self.observer.ended(number, status, reason)
        if status in (Status.FAILED, Status.INFEASIBLE) and (
            why := hopeless(self.trials.values(), self.spec.search.failures)
        ):
            self.stop(f"failed: {why}")
