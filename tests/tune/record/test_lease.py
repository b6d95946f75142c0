"""One driver per search, on each kind of storage: contended, killed, cut off, taken over."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.tune.record.places import CONFIG, Place, Server
from tune.errors import UserError
from tune.record.exclusive.advisory import AdvisoryLock
from tune.record.exclusive.driving import is_driven, lease
from tune.record.exclusive.folder_lock import on_network
from tune.record.exclusive.lease import DRIVER, Heartbeat, Lease, LostSearchError
from tune.record.exclusive.process import is_alive, this_process
from tune.record.search_status import search_status


def elsewhere(until: float) -> dict[str, Any]:
    """A holder on another machine."""
    return {"host": "far", "pid": 7, "machine": "another", "started": "1", "token": "t", "until": until}


@pytest.mark.parametrize("place", ["network", "sqlite", "postgresql"], indirect=True)
def test_a_second_driver_is_refused_while_the_first_lives_and_not_after_it_was_killed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune.record.exclusive.driving.on_network", lambda folder: True)
    record = place.begin()
    record.note("state", {"state": "running", "reason": ""})
    process = place.holder()
    try:
        assert is_driven(place.folder, record)
        assert search_status(place.folder).status == "running"
        with pytest.raises(UserError, match=rf"already being run by another process \(host .*, pid {process.pid}\)"):
            lease(place.folder, place.open()).__enter__()
    finally:
        process.kill()
        process.communicate()
    start = time.monotonic()
    with lease(place.folder, place.open()):
        assert time.monotonic() - start < 10  # it is not watched, as one of another machine would be
        assert search_status(place.folder).status == "running"
    assert search_status(place.folder).status == "interrupted"


def test_two_drivers_in_turn(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, each writes; while one leads, the other may not."""
    monkeypatch.setattr("tune.record.exclusive.driving.on_network", lambda folder: True)
    place.begin()
    for turn in range(2):
        record = place.open()
        with lease(place.folder, record) as held:
            held.check()
            record.add(place.spec.space, {**CONFIG, "training.optimizer.lr": 0.01 + turn / 1000}, {})
            other = place.open()
            assert is_driven(place.folder, other)
            with pytest.raises(UserError, match="is already being run by another process"):
                lease(place.folder, other).__enter__()
            record.start(turn)
        assert not is_driven(place.folder, place.open())
    assert len(place.open().trials()) == 2


def test_which_kind_holds_where(place: Place) -> None:
    record = place.begin()
    with lease(place.folder, record) as held:
        kinds = {None: Lease, "sqlite": Heartbeat, "postgresql+psycopg": AdvisoryLock}
        assert type(held) is kinds[place.study.partition(":")[0] if place.study else None]


# -- PostgreSQL


@pytest.fixture
def in_postgresql(postgresql: Server, tmp_path: Path) -> Any:
    """A search's folder whose record lies in PostgreSQL."""
    place = Place(tmp_path, postgresql.new_database())
    place.begin()
    yield place
    place.close()


CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'imagetune %'"


def test_a_cut_connection_takes_its_lock_again(
    in_postgresql: Place, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune.record.disk.PAUSE", 0.01)
    record = in_postgresql.open()
    with lease(in_postgresql.folder, record):
        for _ in range(2):
            assert len(postgresql.sql(CUT)) == 1
            record.note("a", 1)
            assert is_driven(in_postgresql.folder, in_postgresql.open())
    assert not is_driven(in_postgresql.folder, in_postgresql.open())


@pytest.mark.parametrize("stays", [True, False], ids=["the other lives", "the other has gone"])
def test_a_driver_that_was_cut_off_does_not_write_once_another_was_there(
    in_postgresql: Place, postgresql: Server, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    monkeypatch.setattr("tune.record.disk.PAUSE", 0.01)
    monkeypatch.setattr("tune.record.exclusive.advisory.DYING", 0.3)
    first, told = in_postgresql.open(), list[str]()
    with lease(in_postgresql.folder, first) as held:
        held.on_lost = told.append
        postgresql.sql(CUT)
        other = lease(in_postgresql.folder, in_postgresql.open())
        other.__enter__()
        if not stays:
            other.__exit__(None, None, None)
        for _ in range(2):
            with pytest.raises(LostSearchError, match=r"took the search over|was taken over by"):
                first.note("a", "written by the first")
        if stays:
            other.__exit__(None, None, None)
        with pytest.raises(LostSearchError):
            first.note("a", "written by the first")
    assert len(told) == 1
    assert told[0].startswith("failed: the search was taken over")
    assert "a" not in in_postgresql.open().facts


# -- leases


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of tenths of a second."""
    for name, seconds in {"LIFE": 0.6, "BEAT": 0.1, "WATCH": 0.1}.items():
        monkeypatch.setattr(f"tune.record.exclusive.lease.{name}", seconds)


@pytest.fixture(params=["sqlite", "network"])
def leased(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A search that a lease holds: in SQLite, and as a journal on a network file system."""
    monkeypatch.setattr("tune.record.exclusive.driving.on_network", lambda folder: True)
    place = Place(tmp_path, f"sqlite:///{tmp_path}/studies.db" if request.param == "sqlite" else None)
    place.begin()
    yield place
    place.close()


def test_a_lease_of_another_machine_is_respected_until_it_has_run_out(leased: Place, quick: None) -> None:
    record = leased.open()
    record.note(DRIVER, elsewhere(time.time() + 0.5))
    assert is_driven(leased.folder, record)
    with pytest.raises(UserError, match=r"is already being run by another process \(host far, pid 7\)"):
        lease(leased.folder, record).__enter__()
    time.sleep(0.6)
    assert not is_driven(leased.folder, record)
    with lease(leased.folder, record):
        assert record.facts[DRIVER]["pid"] == this_process()["pid"]


def test_a_lease_whose_holder_has_a_late_clock_is_seen_to_be_renewed(
    leased: Place, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, other = leased.open(), leased.open()
    record.note(DRIVER, elsewhere(time.time() - 100))
    monkeypatch.setattr(time, "sleep", lambda _: other.note(DRIVER, elsewhere(time.time() - 90)))
    with pytest.raises(UserError, match=r"host far, pid 7"):
        lease(leased.folder, record).__enter__()


def test_a_dead_machine_whose_clock_was_ahead_does_not_keep_the_search(leased: Place, quick: None) -> None:
    record = leased.open()
    record.note(DRIVER, elsewhere(time.time() + 3600))
    began = time.monotonic()
    with lease(leased.folder, record):
        assert 0.6 <= time.monotonic() - began < 10  # it was watched for as long as it may have been valid
        assert record.facts[DRIVER]["pid"] == this_process()["pid"]


def test_a_lease_is_renewed_while_its_driver_is_alive(leased: Place, quick: None) -> None:
    record, other = leased.open(), leased.open()
    with lease(leased.folder, record):
        first = other.facts[DRIVER]["until"]
        time.sleep(0.8)
        assert other.facts[DRIVER]["until"] > first + 0.4
    assert other.facts[DRIVER]["until"] == 0


def test_a_driver_whose_lease_was_taken_writes_no_more(leased: Place, quick: None) -> None:
    record, told = leased.open(), list[str]()
    with lease(leased.folder, record) as held:
        held.on_lost = told.append
        leased.open().note(DRIVER, elsewhere(time.time() + 60))
        time.sleep(0.4)
        assert told == ["failed: the search was taken over by host far, pid 7"]
        with pytest.raises(LostSearchError, match="host far, pid 7; nothing more is written here"):
            record.note("a", 1)
    assert leased.open().facts[DRIVER]["host"] == "far"


def test_a_lease_that_ran_out_unrenewed_is_looked_at_before_a_write(
    leased: Place, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a laptop's sleep: the thread has not yet run when the driver wants to write."""
    monkeypatch.setattr("tune.record.exclusive.lease.BEAT", 60.0)
    record = leased.open()
    with lease(leased.folder, record):
        time.sleep(0.7)
        record.note("a", 1)
        time.sleep(0.7)
        leased.open().note(DRIVER, elsewhere(time.time() + 60))
        with pytest.raises(LostSearchError):
            record.note("a", 2)
    assert leased.open().facts["a"] == 1


# -- who lives


def test_a_holder_here_lives_as_long_as_its_process() -> None:
    mine = {**this_process(), "until": 1.0}  # its time does not matter here
    assert is_alive(mine)
    assert not is_alive({**mine, "until": 0.0})
    assert not is_alive({**mine, "started": "1"})  # the number was given to another process
    assert not is_alive({**mine, "pid": 2**22 + 1})
    assert not is_alive(None)


def test_another_machine_is_judged_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_alive(elsewhere(time.time() + 10))
    assert not is_alive(elsewhere(time.time() - 10))
    monkeypatch.setattr("tune.record.exclusive.process._machine", lambda: "")
    assert is_alive({**this_process(), "until": time.time() + 10})


def test_network_file_systems_are_found_by_their_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/vda / ext4 rw 0 0\nserver:/x /home nfs4 rw 0 0\n/dev/vdb /home/fast xfs rw 0 0\n"
        "me@host: /mnt/my\\040own fuse.sshfs rw 0 0\n//s/x /mnt/win cifs rw 0 0\noverlay /o fuse.fuse-overlayfs rw 0 0\n"
    )
    expected = {
        "/srv": False, "/home/me/x": True, "/home": True, "/homes": False, "/home/fast/x": False,
        "/mnt/my own/x": True, "/mnt/win": True, "/o/x": False,
    }  # fmt: skip
    assert {path: on_network(Path(path), mounts) for path in expected} == expected
    assert not on_network(Path("/home"), tmp_path / "missing")
