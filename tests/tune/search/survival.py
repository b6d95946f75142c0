"""Kills of simulated searches: the driver's process dies at a write to the journal, and the search goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from tests.tune.search.simulation import SPACE, KilledError, Simulation, ends_at, spec_of
from tune.record.storage.journal import Journal
from tune.record.tables import epochs_table, trials_table
from tune.spec import SearchSpec

HOWS = ("before", "after", "half", "line")
"""How it dies at a write: before it, after it, or with half of the bytes or the first of the lines on the disk."""

Begin = Callable[[Path], Simulation]
"""Begins a search in a folder, or opens the one that is there."""

Tables = tuple[pd.DataFrame, pd.DataFrame]
Left = tuple[Path, dict[int, int]]
"""What a killed search leaves: its folder, and the epochs in its checkpoints."""


def tables(simulation: Simulation) -> Tables:
    """What the record holds: trials and epochs."""
    trials, ledger = simulation.record.trials(), simulation.ledger
    fields, seeds = list(ledger.spec.space.domains), ledger.spec.search.seeds
    table = trials_table(trials, fields, simulation.record.objective, simulation.folder, seeds=seeds)
    return table, epochs_table(trials, seeds=seeds)


def assert_same(one: Simulation, other: Simulation) -> None:
    """Two searches have the same tables, in every column."""
    _assert_tables(tables(one), tables(other))


def _assert_tables(ours: Tables, theirs: Tables) -> None:
    for one, other in zip(ours, theirs, strict=True):
        pd.testing.assert_frame_equal(one, other)


@contextmanager
def killed_at(write: float, how: str) -> Iterator[Callable[[], int]]:
    """The process dies at its n-th write; gives the number of writes so far."""
    original = Journal._append
    count = 0

    def dying(self: Journal, text: bytes) -> None:
        nonlocal count
        count += 1
        if count < write:
            return original(self, text)
        with open(self._path, "ab") as file:
            file.write(_written(text, how))
        raise KilledError

    Journal._append = dying  # type: ignore[method-assign]
    try:
        yield lambda: count
    finally:
        Journal._append = original  # type: ignore[method-assign]


def survive(begin: Begin, folder: Path, kills: Iterable[tuple[int, str]] = (), workers: int = 1) -> Simulation:
    """Run a search that dies at each of the kills in turn as far as it gets there, then to its end."""
    checkpoints: dict[int, int] = {}
    for write, how in kills:
        if not _dies(begin, folder, (write, how), checkpoints, workers):
            break
    simulation = begin(folder)
    simulation.run(workers, checkpoints)
    return simulation


def killed_at_every_write(begin: Begin, folder: Path, how: str, every: int = 1) -> list[Simulation]:
    """One search left alone, then one for each of its writes (or each n-th) that died there and is continued.

    Their tables are the same. A kill leaves the files as they are at that moment and nothing else, so that a copy of
    the folder is a search that was killed: all come from the one that is left alone.
    """
    quiet, left = _copied_at_writes(begin, folder, how, every)
    expected = tables(quiet)
    killed = []
    for there, checkpoints in left:
        simulation = begin(there)
        simulation.run(1, checkpoints)
        _assert_tables(tables(simulation), expected)
        killed.append(simulation)
    return [quiet, *killed]


def _copied_at_writes(begin: Begin, folder: Path, how: str, every: int) -> tuple[Simulation, list[Left]]:
    """A search left alone, and what a kill at its second write, or any n-th after that, would have left."""
    original, journal = Journal._append, folder / "quiet" / "study.journal"
    checkpoints: dict[int, int] = {}
    left: list[Left] = []
    count = 0

    def copying(self: Journal, text: bytes) -> None:
        nonlocal count
        assert self._path == journal
        count += 1
        before = journal.read_bytes() if journal.is_file() else b""
        original(self, text)
        if count >= 2 and (count - 2) % every == 0:
            there = folder / f"killed-{count}" / journal.parent.name
            shutil.copytree(journal.parent, there)
            (there / journal.name).write_bytes(before + _written(text, how))
            left.append((there, dict(checkpoints)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "_append", copying)
        quiet = begin(journal.parent)
        quiet.run(1, checkpoints)
    assert count > 30
    assert len(left) == len(range(2, count + 1, every))
    return quiet, left


def _written(text: bytes, how: str) -> bytes:
    """What of a write is in the file when the process dies at it."""
    return {"before": b"", "after": text, "half": text[: len(text) // 2], "line": text[: text.index(b"\n") + 1]}[how]


def _dies(begin: Begin, folder: Path, kill: tuple[int, str], checkpoints: dict[int, int], workers: int = 1) -> bool:
    """Run a search until it dies; False if it gets to its end before."""
    with killed_at(*kill):
        try:
            begin(folder).run(workers, checkpoints)
        except KilledError:
            return True
    return False


ENDS = {2: (3, "diverged"), 4: (2, "out_of_memory"), 5: (4, "failed"), 7: (1, "infeasible")}


def ending(spec: SearchSpec) -> Begin:
    """Searches whose trials end in every way."""
    return lambda folder: Simulation(spec, folder, ends_at(ENDS))


def journal_cut_at_every_byte(folder: Path) -> None:
    """A journal that ends within its last records is repaired, and the search goes on as if it had not been cut."""
    spec = spec_of(folder, SPACE, "search.trials=4")
    quiet = Simulation(spec, folder / "quiet", trials=4)
    quiet.run()
    journal = (folder / "quiet" / "study.journal").read_bytes()
    last = journal.splitlines(keepends=True)[-1]
    checkpoints = {number: len(trial.epochs) for number, trial in quiet.driver.ledger.trials.items()}
    for cut in range(1, len(last) + 1):
        there = folder / f"cut-{cut}"
        there.mkdir()
        (there / "study.journal").write_bytes(journal[:-cut])
        simulation = Simulation(spec, there, trials=4)
        mended = [line for line in simulation.said if "unfinished record" in line]
        assert len(mended) == (0 if cut == len(last) else 1), cut
        simulation.run(1, dict(checkpoints))
        assert_same(simulation, quiet)
    assert cut == len(last) > 50
