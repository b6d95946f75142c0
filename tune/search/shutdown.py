"""How a search ends: by itself, in order at a signal, and in any case within seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tune.record.disk import UnwritableError, is_full
from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.record.study import TrialRecord
from tune.record.tables import write_all_tables
from tune.search.driver import Driver
from tune.spec.search import SearchSpec

INTERRUPTED = "interrupted"
ORDERLY = 6.0  # seconds for Ray to end its loop after a signal; then we end without it
SAVING = 2.5  # seconds for the last writes then


@dataclass(frozen=True)
class Outcome:
    """How a search ended. `state`: finished, stopped, interrupted or failed."""

    folder: SearchFolder
    spec: SearchSpec
    state: str
    reason: str
    counts: Mapping[str, int]
    best: TrialRecord | None

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 130 interrupted."""
        return {"failed": 1, INTERRUPTED: 130}.get(self.state, 0)


def finish(driver: Driver) -> Outcome:
    """Put live trials back to wait, note in the record how the search ended, write the tables."""
    try:
        driver.requeue_all()
        driver.observer.over(driver.ledger)
        outcome = _outcome(driver)
        driver.ledger.record.note("state", {"state": outcome.state, "reason": outcome.reason})
        write_all_tables(driver.ledger.folder, list(driver.ledger.spec.space.domains), driver.ledger.record)
    except (UnwritableError, OSError) as error:
        if not is_full(error) and not isinstance(error, UnwritableError):
            raise
        driver.observer.say(f"{error}: the search is recorded up to there, its end is not")
        return _outcome(driver)
    return outcome


def _outcome(driver: Driver) -> Outcome:
    reason, best = driver.halt, driver.ledger.best
    if reason:
        state = next((word for word in (INTERRUPTED, "failed") if reason.startswith(word)), "stopped")
        reason = reason.removeprefix("failed: ")
    elif best is None:
        state, reason = "failed", f"no trial gave a value of {driver.ledger.record.metric}: {_errors(driver)}"
    else:
        state, reason = "finished", "the space is exhausted" if driver.exhausted else ""
    counts = {str(status): driver.ledger.counts.get(status, 0) for status in Status}
    return Outcome(driver.ledger.folder, driver.ledger.spec, state, reason, counts, best)


def _errors(driver: Driver, shown: int = 5) -> str:
    reasons = [f"trial {t.number} {t.status}: {t.reason}" for t in driver.ledger.trials.values() if t.status.ended]
    return "; ".join(reasons[:shown]) + (f"; and {len(reasons) - shown} more" if len(reasons) > shown else "")


@contextmanager
def ending_in_order(driver: Driver) -> Iterator[None]:
    """SIGTERM and Ctrl-C halt the driver; a second Ctrl-C interrupts at once.

    Where the signal went to Ray's processes too (a whole process group), Ray's loop may never turn again: then the
    record is brought in order and the process ends without it.
    """
    over = threading.Event()

    def halt(number: int, frame: FrameType | None) -> None:
        if driver.halt:
            raise KeyboardInterrupt
        driver.stop(f"{INTERRUPTED} by {signal.Signals(number).name}")
        threading.Thread(target=_end_anyway, args=(driver, over), daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, halt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_anyway(driver: Driver, over: threading.Event) -> None:
    if over.wait(ORDERLY):
        return
    saving = threading.Thread(target=finish, args=(driver,), daemon=True)
    saving.start()
    saving.join(SAVING)
    saved = "everything is saved" if not saving.is_alive() else "the record stands as it was"
    print(f"{driver.ledger.folder.name}: {driver.halt} (Ray did not answer; {saved})", file=sys.stderr, flush=True)
    print(f"go on with: imagetune search {driver.ledger.folder.argument} --resume", file=sys.stderr, flush=True)
    os._exit(130)
