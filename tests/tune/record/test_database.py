"""The record keeps its guarantees wherever it lies: the same tests on every storage, and what only databases do."""

from __future__ import annotations

import math
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from search_spaces import Config
from tests.tune.record.places import CONFIG, Place, Server
from tests.tune.search.simulation import LOSS, SPACE, KilledError, Simulation, ends_at, falling, metrics, spec_of
from tests.tune.search.survival import ENDS, assert_same
from tune.errors import WorkError
from tune.record import disk
from tune.record.folder import SearchFolder
from tune.record.opening import open_record
from tune.record.status import Status
from tune.record.storage.database import AwayError, Database, DatabaseAwayError, _waiting
from tune.record.study import Record
from tune.search.worker.messages import Report


class TestRecord:
    """What every storage must do."""

    def test_a_trial_enters_waiting_and_whole(self, place: Place) -> None:
        record = place.begin()
        assert record.add(place.spec.space, CONFIG, {"parameters": 10}) == 0
        (trial,) = place.open().trials()
        assert (trial.number, trial.config, trial.status) == (0, CONFIG, Status.WAITING)
        assert dict(trial.facts) == {"parameters": 10}

    def test_epochs_may_be_repeated_and_keep_every_bit(self, place: Place) -> None:
        record = place.begin()
        record.add(place.spec.space, CONFIG, {})
        record.start(0)
        for value in (0.1 + 0.2, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308):
            epoch = len(record.trial(0).epochs) + 1
            for _ in range(2):
                record.epoch(0, metrics(epoch, value))
        read = place.open().trial(0).epochs
        assert [epoch.epoch for epoch in read] == [1, 2, 3, 4, 5, 6]
        assert repr([epoch.values["val_loss"] for epoch in read]) == (
            "[0.30000000000000004, nan, inf, -inf, 5e-324, 1.7976931348623157e+308]"
        )

    def test_a_running_trial_is_put_back_with_its_epochs(self, place: Place) -> None:
        record = place.begin()
        record.add(place.spec.space, CONFIG, {})
        record.start(0)
        record.start(0)
        record.epoch(0, metrics(1, 2.0))
        record.requeue(0)
        trial = place.open().trial(0)
        assert (trial.status, len(trial.epochs)) == (Status.WAITING, 1)
        record.start(0)
        assert place.open().trial(0).status is Status.RUNNING

    @pytest.mark.parametrize("status", [status for status in Status if status.ended])
    def test_an_end_twice_is_one(self, place: Place, status: Status) -> None:
        record = place.begin()
        record.add(place.spec.space, CONFIG, {})
        record.start(0)
        record.epoch(0, metrics(1, 2.0))
        record.end(0, status, "why")
        record.end(0, status, "why")
        record.end(0, Status.FAILED, "another")
        trial = place.open().trial(0)
        assert (trial.status, trial.reason) == (status, "why")

    def test_settling_finishes_what_was_begun(self, place: Place) -> None:
        record = place.begin()
        for lr in (0.01, 0.02, 0.03):
            record.add(place.spec.space, {**CONFIG, "training.optimizer.lr": lr}, {})
        record.start(0)
        record.start(1)
        record.fact(1, "outcome", {"status": "stopped", "reason": "asha"})
        assert place.open().recover() == [0]
        again = place.open()
        assert [trial.status for trial in again.trials()] == [Status.WAITING, Status.STOPPED, Status.WAITING]
        assert again.recover() == []

    def test_notes_and_long_texts(self, place: Place) -> None:
        record = place.begin()
        text = "Traceback \u2026 \0 \U0001f525" * 10_000
        record.add(place.spec.space, CONFIG, {"error": text})
        record.note("state", {"state": "failed", "reason": text})
        record.note("state", {"state": "running", "reason": text})
        again = place.open()
        assert again.facts["state"] == {"state": "running", "reason": text}
        assert again.trial(0).facts["error"] == text

    def test_an_exchange_happens_once(self, place: Place) -> None:
        one, two = place.begin(), place.open()
        assert one.exchange("k", None, {"a": 1})
        assert not two.exchange("k", None, {"a": 2})
        assert two.exchange("k", {"a": 1}, {"a": 3})
        assert not one.exchange("k", {"a": 1}, {"a": 4})
        assert one.facts["k"] == {"a": 3}

    def test_a_search_is_the_same_in_every_storage(self, place: Place) -> None:
        quiet = simulated(place, "quiet", None)
        assert_same(simulated(place, "s", place.study), quiet)


def simulated(place: Place, name: str, study: str | None, curve: Any = falling, **options: Any) -> Simulation:
    simulation = Simulation(place.spec, place.tmp_path / name, curve, study=study)
    place.keep(simulation.record)
    simulation.run(**options)
    return simulation


def test_kills_change_nothing(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver dies before its n-th write, for many n: each is a transaction, so there is no other moment."""
    spec = spec_of(database.tmp_path, SPACE, "search.trials=8")
    quiet = Simulation(spec, database.tmp_path / "quiet", ends_at(ENDS))
    quiet.run()
    count, mortal = 0, 0

    def dying(self: Record) -> Any:
        nonlocal count
        count += 1
        if count == mortal:
            raise KilledError
        return self._storage

    monkeypatch.setattr(Record, "_writable", property(dying))
    deaths = 0
    for mortal in range(2, 90, 18):
        folder, count, checkpoints = database.tmp_path / f"killed-{mortal}", 0, dict[int, int]()
        for _ in range(2):
            simulation = Simulation(spec, folder, ends_at(ENDS), study=database.study)
            try:
                simulation.run(1, checkpoints)
            except KilledError:
                deaths += 1
                simulation.record.close()
        assert_same(simulation, quiet)
        simulation.record.close()
    assert deaths == 5


@pytest.mark.parametrize("call", ["create_new_trial", "set_trial_state_values", "set_trial_user_attr"])
def test_a_write_whose_answer_was_lost_is_not_done_twice(
    database: Place, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    original = getattr(RDBStorage, call)
    owner = RDBStorage if call in ("create_new_trial", "set_trial_state_values") else Database
    lost = list[str]()

    def losing(self: Any, *words: Any, **options: Any) -> Any:
        result = original(self, *words, **options)
        if (len(words) < 2 or words[1] is not TrialState.RUNNING) and not lost:
            lost.append(call)
            raise AwayError("server closed the connection unexpectedly")
        return result

    record = database.begin()
    monkeypatch.setattr(disk, "PAUSE", 0.01)
    monkeypatch.setattr(owner, call, losing if owner is RDBStorage else _waiting(losing))
    assert record.add(database.spec.space, CONFIG, {}) == 0
    record.start(0)
    record.epoch(0, metrics(1, 2.0))
    record.end(0, Status.COMPLETED, "all epochs")
    assert lost == [call]
    (trial,) = database.open().trials()
    assert (trial.status, len(trial.epochs)) == (Status.COMPLETED, 1)
    assert ["waiting up to" in line for line in database.said] == [True, False]


def crash_at(server: Server, moment: int, away: float | None) -> Any:
    """Falling losses; at the n-th epoch the server crashes, to come back after some seconds."""
    epochs = 0

    def curve(trial: int, config: Config, epoch: int) -> Report:
        nonlocal epochs
        epochs += 1
        if epochs == moment:
            server.stop()
            if away is not None:
                threading.Timer(away, server.start).start()
        return falling(trial, config, epoch)

    return curve


def test_a_server_that_restarts_is_waited_for(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "PAUSE", 0.1)
    place = Place(tmp_path, postgresql.new_database())
    found = simulated(place, "s", place.study, crash_at(postgresql, 7, away=1.0))
    assert_same(found, simulated(place, "quiet", None))
    paused, back = found.said
    assert "does not answer; waiting up to 600 s" in paused
    assert "answers again" in back
    place.close()


def test_a_server_that_stays_away_ends_the_search_in_order(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "PAUSE", 0.1)
    monkeypatch.setattr(disk, "PATIENCE", 1.0)
    place, checkpoints = Place(tmp_path, postgresql.new_database()), dict[int, int]()
    found = Simulation(place.spec, tmp_path / "s", crash_at(postgresql, 7, away=None), study=place.study)
    place.keep(found.record)
    try:
        # While live trials are put back to wait: not waited for again.
        with pytest.raises(DatabaseAwayError, match=r"the database \S+ does not answer \("):
            found.run(1, checkpoints)
        assert re.fullmatch(r"failed: the database \S+ did not answer for 1 s \(.*\)", found.driver.halt)
        with pytest.raises(WorkError, match=r"cannot connect to the database 127\.0\.0\.1:\d+/tests\d+: "):
            open_record(SearchFolder(tmp_path / "s", place.study), LOSS)
    finally:
        postgresql.start()
    resumed = simulated(place, "s", place.study, checkpoints=checkpoints)
    assert_same(resumed, simulated(place, "quiet", None))
    place.close()
