"""What becomes of a trial when its attempt ends: it has ended, is tried again, is paused, or trains another seed.

How often it has been tried follows from the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from data.words import counted
from tune.record.observer import Observer
from tune.record.status import Status
from tune.search.ends import Enough, hopeless
from tune.search.ledger import Ledger
from tune.search.replicates import outcome, trains_another
from tune.search.retention import Retention
from tune.search.worker.messages import Report

MAX_WORKER_DEATHS = 3  # a trial that loses its worker (a crash, a lost node) more often than this has failed

ENDS = {
    "epochs": (Status.COMPLETED, "all epochs"),
    "early_stopping": (Status.COMPLETED, "early stopping"),
    "diverged": (Status.DIVERGED, ""),
    "infeasible": (Status.INFEASIBLE, ""),
}
"""Ends that workers report, as status and reason (empty: the report's own)."""


class TrialEnd(NamedTuple):
    """The status that a trial gets, and why; `WAITING`: it is tried again."""

    status: Status
    reason: str


def reported(ledger: Ledger, number: int, report: Report) -> TrialEnd:
    """After an end that its worker reported."""
    if report.end in ENDS:
        status, reason = ENDS[report.end]
        return TrialEnd(status, reason or report.reason)
    if report.end == "out_of_memory":
        return _out_of_memory(ledger, number, report.reason)
    if report.detail:
        ledger.fact(number, "error", report.detail)
    if ledger.count(number, "attempts") <= ledger.spec.search.failures.retries:
        return TrialEnd(Status.WAITING, f"{report.reason}; trying again")
    return TrialEnd(Status.FAILED, report.reason)


def _out_of_memory(ledger: Ledger, number: int, reason: str) -> TrialEnd:
    """Other trials may have used the memory: while any are running, the trial is tried once more."""
    if len(ledger.live) > 1 and ledger.count(number, "out_of_memory") == 1:
        return TrialEnd(Status.WAITING, f"{reason}; trying once more, since other trials were using memory too")
    return TrialEnd(Status.OUT_OF_MEMORY, reason)


def _worker_died(ledger: Ledger, number: int, reason: str) -> TrialEnd:
    """After its worker died, for the reason given."""
    if (deaths := ledger.count(number, "losses")) <= MAX_WORKER_DEATHS:
        return TrialEnd(Status.WAITING, f"{reason}; resuming from its last checkpoint")
    return TrialEnd(Status.FAILED, f"lost its worker {counted(deaths, 'time')}: {reason}")


class TrialEnds:
    """Ends and pauses the trials of a search: in the record, on disk, and for those who are told.

    Args:
        ledger: Of the search.
        observer: Notified of it.
        enough: Notified of every end.
        stop: Stops the search, for a reason.
    """

    def __init__(self, ledger: Ledger, observer: Observer, enough: Enough, stop: Callable[[str], None]) -> None:
        self._ledger, self._observer, self._enough, self._stop = ledger, observer, enough, stop
        self._retention = Retention(ledger.folder, ledger.spec.search.retention, ledger.record.objective, observer.say)
        self._retention.restore(ledger.trials.values())

    def seed_over(self, number: int, status: Status, reason: str, *, last: bool = False) -> None:
        """The seed that a trial trains has ended by itself: go on with the next one, or end the trial.

        Args:
            number: The trial.
            status: How the seed has ended, or `WAITING` where it is tried again.
            reason: Why.
            last: Do not go on.
        """
        settings, first = self._ledger.spec.search, self._ledger.trials[number].seed == 0
        if settings.seeds > 1 and (status.ended if not first else status is Status.COMPLETED):
            trial = self._ledger.seed_over(number, status, reason)
            if not last and trains_another(trial, self._ledger.trials.values(), settings):
                self._retention.next_seed(self._ledger.next_seed(number))
                told = f"next: seed {trial.seed + 2} of {settings.seeds}"
                return self._observer.ended(number, Status.WAITING, told)
            status, reason = outcome(trial)
        return self.end(number, status, reason)

    def end(self, number: int, status: Status, reason: str) -> None:
        """End a trial, or put it back where the status is `WAITING`."""
        if status is Status.WAITING:
            return self.requeue(number, reason)
        trial = self._ledger.end(number, status, reason)
        self._retention.ended(trial)
        self._enough.ended(trial)
        self._observer.ended(number, status, reason)
        if why := hopeless(status, self._ledger.trials.values(), self._ledger.spec.search.failures):
            self._stop(f"failed: {why}")
        return None

    def requeue(self, number: int, reason: str) -> None:
        """Put a live trial back to wait."""
        self._ledger.requeue(number)
        self._observer.ended(number, Status.WAITING, reason)

    def pause(self, number: int) -> None:
        """Pause a live trial after its last epoch."""
        self._ledger.pause(number)
        self._retention.paused(self._ledger.trials[number] for number in self._ledger.paused)
        self._observer.ended(number, Status.PAUSED, "")

    def not_promoted(self, numbers: Iterable[int]) -> None:
        """End paused trials."""
        for number in sorted(numbers):
            epoch = len(self._ledger.trials[number].epochs)
            name = self._ledger.spec.search.scheduler.name
            self.end(number, Status.STOPPED, f"{name}: not promoted at epoch {epoch}")

    def worker_died(self, number: int, reason: str, *, out_of_memory: bool) -> None:
        """The worker of a trial died: try it again, unless that happened too often. See `Driver.worker_died`."""
        if number in self._ledger.live:
            end = _out_of_memory if out_of_memory else _worker_died
            self.seed_over(number, *end(self._ledger, number, reason))
        else:  # it had ended; the worker may have written something since
            self._retention.clear(self._ledger.trials[number])

    def clear_all(self) -> None:
        """Delete what workers have written after their trials ended."""
        self._retention.clear_all(self._ledger.trials.values())

    def hung(self) -> list[int]:
        """End the live trials without an epoch for longer than `search.epoch_timeout`; returns their numbers."""
        limit = self._ledger.spec.search.epoch_timeout
        if limit is None:
            return []
        now, live = self._ledger.clock(), self._ledger.live.items()
        found = [number for number, since in live if since is not None and now - since > limit]
        for number in found:
            self.seed_over(number, Status.FAILED, "hung", last=True)  # its worker is killed, as if it had ended
        return found
