"""Kills at every moment: the search goes on from its record as if nothing had happened.

With one worker, the table of a search killed again and again equals that of one left alone, in every column.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Config
from tests.tune.search.simulation import FIELDS, SPACE, Simulation, falling, spec_of
from tests.tune.search.survival import (
    HOWS,
    assert_same,
    ending,
    journal_cut_at_every_byte,
    killed_at_every_write,
    survive,
    tables,
)
from tune.record.status import Status
from tune.record.storage.journal import DamagedRecordError, repair
from tune.search.worker.messages import Report


@pytest.mark.parametrize("how", HOWS)
def test_a_kill_at_every_write_changes_nothing(tmp_path: Path, how: str) -> None:
    """Every write to the journal is a moment to die at; all of them are tried."""
    killed_at_every_write(ending(spec_of(tmp_path, SPACE, "search.trials=8")), tmp_path, how)


@settings(max_examples=15, deadline=None)
@given(kills=st.lists(st.tuples(st.integers(2, 60), st.sampled_from(HOWS)), min_size=2, max_size=8))
def test_many_kills_change_nothing(tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, str]]) -> None:
    folder = tmp_path_factory.mktemp("kills")
    begin = ending(spec_of(folder, SPACE, "search.trials=8"))
    assert_same(survive(begin, folder / "killed", kills), survive(begin, folder / "quiet"))


@settings(max_examples=15, deadline=None)
@given(kills=st.lists(st.tuples(st.integers(2, 60), st.sampled_from(HOWS)), max_size=5))
def test_with_several_workers_nothing_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("kills")
    trials, epochs = tables(survive(ending(spec_of(folder)), folder / "s", kills, workers=3))
    assert (trials["status"] != "infeasible").sum() == 12
    assert not set(trials["status"]) & {"running", "waiting"}
    assert not epochs.duplicated(["trial", "epoch"]).any()
    assert len(epochs) == trials["epochs"].sum()
    assert not trials.duplicated([f"config.{field}" for field in FIELDS]).any()


def test_an_extended_search_goes_on_as_one_that_was_longer_from_the_start(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    longer = Simulation(spec, tmp_path / "longer", trials=12)
    longer.run()
    extended = Simulation(spec, tmp_path / "extended", trials=5)
    extended.run()
    assert len(extended.driver.ledger.trials) == 5
    extended = Simulation(spec, tmp_path / "extended", trials=12)
    extended.run()
    assert_same(extended, longer)


def test_the_journal_cut_at_every_byte_of_its_last_records_is_repaired(tmp_path: Path) -> None:
    journal_cut_at_every_byte(tmp_path)


@pytest.mark.parametrize(
    "rubbish", [b"\0" * 100, b"\xff\xfe rubbish\n", b'{"op_code": 4', b"[]\n", b"{}\n{}\n", b"null\n\n\n"]
)
def test_rubbish_at_the_end_is_cut_off(tmp_path: Path, rubbish: bytes) -> None:
    spec = spec_of(tmp_path, SPACE, "search.trials=3")
    simulation = Simulation(spec, tmp_path / "s")
    simulation.run()
    journal = tmp_path / "s" / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + rubbish)
    assert f"removed {len(rubbish)} bytes" in str(repair(journal))
    assert journal.read_bytes() == whole
    assert repair(journal) is None


def test_damage_before_whole_records_is_refused(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, SPACE, "search.trials=3")
    Simulation(spec, tmp_path / "s").run()
    journal = tmp_path / "s" / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[4] = b"rubbish\n"
    journal.write_bytes(b"".join(lines))
    with pytest.raises(DamagedRecordError, match=r"study\.journal: line 5 is damaged"):
        repair(journal)
    assert journal.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("turn", range(1, 30, 4))
def test_a_stop_in_order_loses_nothing(tmp_path: Path, turn: int) -> None:
    """Live trials are put back to wait with their epochs, and the search goes on as if it had never stopped."""
    spec = spec_of(tmp_path)
    quiet = Simulation(spec, tmp_path / "quiet")
    quiet.run()
    stopped = Simulation(spec, tmp_path / "stopped")
    turns = 0

    def curve(trial: int, config: Config, epoch: int) -> Report:
        nonlocal turns
        turns += 1
        if turns == turn:
            stopped.driver.stop("interrupted by SIGTERM")
        return falling(trial, config, epoch)

    stopped.curve = curve
    checkpoints: dict[int, int] = {}
    stopped.run(1, checkpoints)
    assert not stopped.driver.ledger.live
    trials = stopped.record.trials()
    assert all(trial.status is not Status.RUNNING for trial in trials)
    assert sum(len(trial.epochs) for trial in trials) == turn
    resumed = Simulation(spec, tmp_path / "stopped")
    resumed.run(1, checkpoints)
    assert_same(resumed, quiet)
