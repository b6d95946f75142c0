"""What becomes of a trial when its attempt ends: it has ended, or is tried again. How often is told from the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tune.record.status import Status
from tune.search.worker.messages import Report

if TYPE_CHECKING:
    from tune.search.ledger import Ledger

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
        return out_of_memory(ledger, number, report.reason)
    if report.detail:
        ledger.fact(number, "error", report.detail)
    if ledger.count(number, "attempts") <= ledger.spec.search.failures.retries:
        return TrialEnd(Status.WAITING, f"{report.reason}; trying again")
    return TrialEnd(Status.FAILED, report.reason)


def out_of_memory(ledger: Ledger, number: int, reason: str) -> TrialEnd:
    """Other trials may have used the memory: while any are running, the trial is tried once more."""
    if len(ledger.live) > 1 and ledger.count(number, "out_of_memory") == 1:
        return TrialEnd(Status.WAITING, f"{reason}; trying once more, since other trials were using memory too")
    return TrialEnd(Status.OUT_OF_MEMORY, reason)


def worker_died(ledger: Ledger, number: int, reason: str) -> TrialEnd:
    """After its worker died, for the reason given."""
    if (deaths := ledger.count(number, "losses")) <= MAX_WORKER_DEATHS:
        return TrialEnd(Status.WAITING, f"{reason}; resuming from its last checkpoint")
    return TrialEnd(Status.FAILED, f"lost its worker {deaths} times: {reason}")


def hung(ledger: Ledger) -> list[int]:
    """The live trials without an epoch for longer than `search.epoch_timeout`."""
    limit = ledger.spec.search.epoch_timeout
    if limit is None:
        return []
    now = ledger.clock()
    return [number for number, since in ledger.live.items() if since is not None and now - since > limit]
