"""A search with a fault put in: `python -m tests.tune.search.faults.injections FAULT search ...`.

FAULT is `POINT:N` (the N-th time the driver passes that point, it kills itself with SIGKILL), `worker:NAME` (a worker of
workers.py trains), or `patience:SECONDS` (a full disk is waited for so long); several with commas.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from optuna.storages import JournalStorage
from optuna.trial import TrialState

from tune.record.study import Record
from tune.search.driver import Driver
from tune.search.trial_ends import TrialEnds

INJECT = "tests.tune.search.faults.injections"

Patch = Callable[[Callable[[], None]], None]
"""Puts the call that may kill in its place."""


def die() -> None:
    """Now, and without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, when: Callable[..., bool] = lambda *args, **options: True) -> Patch:
    """Pass the point just before a call of a function, those calls for which `when` holds."""

    def patch(passing: Callable[[], None]) -> None:
        original = getattr(owner, name)

        def patched(*args: Any, **options: Any) -> Any:
            if when(*args, **options):
                passing()
            return original(*args, **options)

        setattr(owner, name, patched)

    return patch


def after(owner: Any, name: str) -> Patch:
    """Pass the point just after a call of a function."""

    def patch(passing: Callable[[], None]) -> None:
        original = getattr(owner, name)

        def patched(*args: Any, **options: Any) -> Any:
            result = original(*args, **options)
            passing()
            return result

        setattr(owner, name, patched)

    return patch


def half_written(passing: Callable[[], None]) -> None:
    """While the lock is held, with half of a record on the disk."""
    from tune.record.storage import journal

    original = journal._write_all

    def patched(descriptor: int, text: bytes) -> None:
        original(descriptor, text[: len(text) // 2])
        passing()
        original(descriptor, text[len(text) // 2 :])

    journal._write_all = patched


def _stops(ends: TrialEnds, number: int, status: str, reason: str) -> bool:
    return str(status) == "stopped"


def _ends(storage: object, trial: int, state: TrialState, values: object = None) -> bool:
    return state.is_finished()


def points() -> dict[str, Patch]:
    """Every point by name."""
    from tune.record import opening
    from tune.record.storage import journal
    from tune.search import shutdown as ending
    from tune.search.retention import Retention
    from tune.search.samplers import optuna_samplers as sampler

    return {
        "lock": before(journal, "_write_all"),
        "half": half_written,
        "suggestion": before(sampler, "value_of"),
        "drawn": before(Record, "add"),
        "added": after(Record, "add"),
        "unreported": before(Driver, "_enter"),
        "epoch": after(Record, "epoch"),
        "paused": after(Record, "pause"),
        "promoted": after(Record, "promote"),
        "undecided": before(TrialEnds, "end", _stops),
        "outcome": before(JournalStorage, "set_trial_state_values", _ends),
        "ended": before(Retention, "ended"),
        "dropping": before(Retention, "_drop"),
        "begin": before(opening, "write_spec"),
        "begun": after(opening, "write_spec"),
        "settling": before(Record, "recover"),
        "tables": before(ending, "write_all_tables"),
    }


def kill_at(point: str, number: int) -> None:
    """Arrange for the kill."""
    count = 0

    def passing() -> None:
        nonlocal count
        count += 1
        if count == number:
            die()

    points()[point](passing)


def inject(fault: str) -> None:
    """Put one fault in."""
    name, _, value = fault.partition(":")
    if name == "worker":
        from tests.tune.search.faults.workers import WORKERS
        from tune.search.ray import trial_worker

        trial_worker.TrialWorker = WORKERS[value]  # type: ignore[misc]
    elif name == "patience":
        from tune.record import disk

        disk.PATIENCE = float(value)
        disk.PAUSE = 0.2
    else:
        kill_at(name, int(value))


def main() -> None:
    """See above."""
    for fault in sys.argv.pop(1).split(","):
        inject(fault)
    from tune.cli.program import main

    main()


if __name__ == "__main__":
    main()
