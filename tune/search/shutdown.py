"""How a search ends: when it is done, cleanly on a signal, and always within seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tune.interruption import interruptible
from tune.record.disk import UnwritableError, obstacle, retry_until_writable
from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.record.tables import write_all_tables
from tune.record.trial import TrialRecord
from tune.search.driver import Driver
from tune.spec.search import SearchSpec

INTERRUPTED = "interrupted"
ORDERLY = 3.0  # seconds for Ray's loop to end after a signal; then the process ends without it
ASKING = 1.0  # seconds between two checks of Ray
SAVING = 1.5  # seconds for the last writes then


@dataclass(frozen=True)
class Outcome:
    """How a search ended. `state`: finished, stopped, interrupted or failed; `enough`: it would stop again at once."""

    folder: SearchFolder
    spec: SearchSpec
    state: str
    reason: str
    counts: Mapping[str, int]
    best: TrialRecord | None
    enough: bool = False

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 130 interrupted."""
        return {"failed": 1, INTERRUPTED: 130}.get(self.state, 0)


def finish(driver: Driver) -> Outcome:
    """Close the record; where that is impossible, say so."""
    try:
        close(driver)
    except (UnwritableError, OSError) as error:
        if not obstacle(error, driver.ledger.folder.path) and not isinstance(error, UnwritableError):
            raise
        driver.observer.say(
            f"{error}: what was recorded before is safe, but how the search ended could not be recorded"
        )
    return _outcome(driver)


def close(driver: Driver) -> None:
    """Put live trials back to wait, record how the search ended, write the tables."""
    ledger = driver.ledger
    driver.requeue_all()
    driver.observer.over(ledger)
    outcome = _outcome(driver)
    ledger.record.note("state", {"state": outcome.state, "reason": outcome.reason, "enough": outcome.enough})
    spec = ledger.spec

    def write() -> None:
        write_all_tables(ledger.folder, list(spec.space.domains), ledger.record, seeds=spec.search.seeds)

    if outcome.state == INTERRUPTED:
        write()  # there are only seconds
    else:
        driver.clear_all()
        retry_until_writable(write, ledger.folder.path, driver.observer.say)


def _outcome(driver: Driver) -> Outcome:
    reason, best = driver.halt, driver.ledger.best
    if reason:
        state = next((word for word in (INTERRUPTED, "failed") if reason.startswith(word)), "stopped")
        reason = reason.removeprefix("failed: ")
    elif best is None:
        state, reason = "failed", f"no trial produced {driver.ledger.record.metric}: {_errors(driver)}"
    else:
        state, reason = "finished", "the space is exhausted" if driver.exhausted else ""
    counts = {str(status): driver.ledger.counts.get(status, 0) for status in Status}
    return Outcome(driver.ledger.folder, driver.ledger.spec, state, reason, counts, best, bool(driver.enough.reached))


def _errors(driver: Driver, shown: int = 5) -> str:
    ended = [trial for trial in driver.ledger.trials.values() if trial.status.ended]
    reasons = [f"trial {t.number} {t.status}".replace("_", " ") + f": {t.reason}" * bool(t.reason) for t in ended]
    return "; ".join(reasons[:shown]) + (f"; and {len(reasons) - shown} more" if len(reasons) > shown else "")


@contextmanager
def stopping_on_signals(driver: Driver) -> Iterator[None]:
    """Signals stop the driver; if the block has not ended `ORDERLY` seconds later, the process ends without it.

    Where the signal went to Ray's processes too (a whole process group), Ray's loop may never continue. A second Ctrl-C
    ends the process without waiting.
    """

    def stop(number: int) -> None:
        driver.stop(f"{INTERRUPTED} by {signal.Signals(number).name}")

    with interruptible(stop, lambda: _end_anyway(driver), ORDERLY):
        yield


@contextmanager
def stopping_on(failure: Callable[[], str], driver: Driver) -> Iterator[None]:
    """Stop the driver soon after `failure` returns a reason, asked every second, and end the process if need be."""
    over = threading.Event()

    def watch() -> None:
        reasons = ["", ""]
        while not (reasons[-2] and reasons[-1]):  # twice: the block may just be ending
            if over.wait(ASKING):
                return
            reasons.append(failure())
        driver.stop(f"failed: {reasons[-1]}")
        if not over.wait(ORDERLY):
            _end_anyway(driver)
            os._exit(1)

    threading.Thread(target=watch, name="failures", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _end_anyway(driver: Driver) -> None:
    folder = driver.ledger.folder
    reason = driver.halt or f"{INTERRUPTED} at its end"
    print(f"{folder.name}: {reason} (Ray did not answer; {_saved(driver)})", file=sys.stderr, flush=True)
    print(f"resume it with: imagetune search {folder.argument} --resume", file=sys.stderr, flush=True)


def _saved(driver: Driver) -> str:
    """Close the record within `SAVING` seconds; what became of it."""
    results: list[str] = []

    def save() -> None:
        try:
            close(driver)
            results.append("everything is saved")
        except Exception as error:
            results.append(f"what was recorded before is saved, but not how the search ended: {error}")

    saving = threading.Thread(target=save, daemon=True)
    saving.start()
    saving.join(SAVING)
    return (
        results[0] if results else "what was recorded before is saved, but not how the search ended: it took too long"
    )
