"""Optuna's own tests of storages, over ours; and two threads that write at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.storages import BaseStorage, JournalStorage
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

from tests.tune.record.places import Server
from tune.record.storage.database import Database
from tune.record.storage.journal import Journal
from tune.record.storage.url import study_url


class TestJournal(StorageTestCase):
    """The journal."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> BaseStorage:
        return JournalStorage(Journal(tmp_path / "study.journal"))

    @pytest.mark.skip("a record is opened by its path in every process; the lock on it belongs to one process")
    def test_pickle_storage(self, storage: BaseStorage) -> None: ...


class TestDatabase(StorageTestCase):
    """SQLite and PostgreSQL, waiting and not waiting for a database that is away."""

    @pytest.fixture(params=["sqlite", "postgresql"])
    def storage(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseStorage]:
        url: str = f"sqlite:///{tmp_path}/studies.db"
        if request.param == "postgresql":
            server: Server = request.getfixturevalue("postgresql")
            url = server.new_database()
        database = Database.connect(str(study_url(url)), create=True)
        assert database is not None
        yield database
        database.close()

    @pytest.mark.skip("a record is opened by its URL in every process; the lock on it belongs to one connection")
    def test_pickle_storage(self, storage: BaseStorage) -> None: ...


def test_threads_that_write_at_once_disturb_neither_each_other_nor_what_is_written_together(tmp_path: Path) -> None:
    """As the driver and the thread that renews its lease: no line is lost, mixed, or in another thread's block."""
    journal = Journal(tmp_path / "study.journal")
    storage = JournalStorage(journal)
    study = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    trial = storage.create_new_trial(study)
    count, errors = 60, list[BaseException]()
    start = threading.Barrier(3)

    def pairs() -> None:
        start.wait()
        for step in range(count):
            with journal.together():
                storage.set_trial_intermediate_value(trial, step, 1.0)
                storage.set_trial_user_attr(trial, f"epoch:{step}", step)

    def renew(key: str) -> None:
        start.wait()
        for beat in range(count):
            storage.set_study_user_attr(study, key, beat)

    def watched(work: object, *words: str) -> None:
        try:
            work(*words)  # type: ignore[operator]
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=watched, args=words) for words in ((pairs,), (renew, "driver"), (renew, "other"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    logs = [json.loads(line) for line in (tmp_path / "study.journal").read_bytes().splitlines()]
    assert len(logs) == 2 + 4 * count
    steps = [(index, log["step"]) for index, log in enumerate(logs) if "step" in log]
    assert [step for _, step in steps] == list(range(count))
    assert all(f"epoch:{step}" in logs[index + 1]["user_attr"] for index, step in steps)  # nothing between the two
    again = JournalStorage(Journal(tmp_path / "study.journal"))
    assert again.get_study_user_attrs(study) == {"driver": count - 1, "other": count - 1}
    assert again.get_trial(trial).state is TrialState.RUNNING
    assert len(again.get_trial(trial).intermediate_values) == count
