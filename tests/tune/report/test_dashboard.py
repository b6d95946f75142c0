"""optuna-dashboard on a record: everything can be read, nothing changed."""

from __future__ import annotations

import json
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, RDBStorage

from tests.tune.runs.folders import SPACE, curve, search_folder, written
from tune.record.folder import SearchFolder
from tune.record.opening import drive_search, open_record
from tune.record.status import Status
from tune.record.storage.read_only import ReadOnlyError, ReadOnlyStorage
from tune.record.storage.url import study_url
from tune.report.dashboard import serving
from tune.spec import load_search


@contextmanager
def served(folder: SearchFolder) -> Iterator[str]:
    """The address of a dashboard that answers."""
    with serving(folder, 0) as (server, address):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield address
        server.shutdown()
        thread.join()


def asked(address: str, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    """The status and the JSON document of an answer."""
    url = address.partition("/dashboard")[0] + path
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_trials_are_shown_and_nothing_is_written(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "digits é")
    before = folder.journal.read_bytes()
    with served(folder) as address:
        assert address.startswith("http://127.0.0.1:")
        study = int(address.rpartition("/")[2])
        with urllib.request.urlopen(address, timeout=20) as page:
            assert "html" in page.headers["Content-Type"]
        _, found = asked(address, "/api/studies")
        assert [row["study_name"] for row in found["study_summaries"]] == ["digits é"]
        _, detail = asked(address, f"/api/studies/{study}")
        assert len(detail["trials"]) == 5
        assert detail["objective_names"] == ["val_loss"]
        for method, path, body in (
            ("DELETE", f"/api/studies/{study}", {}),
            ("POST", "/api/studies", {"study_name": "x", "directions": ["minimize"]}),
            ("PUT", f"/api/studies/{study}/note", {"body": "x", "version": 1}),
            ("POST", f"/api/studies/{study}/rename", {"study_name": "x"}),
        ):
            status, answer = asked(address, path, method, body)
            assert (status, "read-only" in answer["reason"]) == (403, True)
    assert folder.journal.read_bytes() == before


def test_a_live_search_in_a_database_is_shown_alone_and_as_it_grows(tmp_path: Path) -> None:
    spec = load_search(str(written(tmp_path, SPACE, "space.yaml")))
    url = study_url(f"sqlite:///{tmp_path}/record.db")
    folder, other = SearchFolder(tmp_path / "live", url), SearchFolder(tmp_path / "other", url)
    for one in (other, folder):
        with drive_search(one, spec, dict, print, resume=False) as search:
            config = {"model.hidden_dim": 8, "training.optimizer.lr": 0.01}
            number = search.record.add(spec.space, config, {})
            search.record.start(number)
            if one is folder:
                with served(folder) as address:
                    _, found = asked(address, "/api/studies")
                    assert [row["study_name"] for row in found["study_summaries"]] == ["live"]
                    study = int(address.rpartition("/")[2])
                    for metrics in curve([0.5]):
                        search.record.epoch(number, metrics)
                    search.record.end(number, Status.COMPLETED)
                    _, detail = asked(address, f"/api/studies/{study}")
                    assert [trial["state"] for trial in detail["trials"]] == ["Complete"]
    with sqlite3.connect(tmp_path / "record.db") as database:
        assert database.execute("SELECT count(*) FROM studies").fetchone() == (2,)


def test_every_write_is_refused_and_every_read_allowed(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "digits")
    spec = load_search(str(tmp_path / "spaces" / "space.yaml"))
    storage, study = open_record(folder, spec.search.objective).read_only()
    writes = {name for name in BaseStorage.__abstractmethods__ if name.startswith(("set_", "create_", "delete_"))}
    assert len(writes) == 10
    for name in writes:
        method = getattr(storage, name)
        with pytest.raises(ReadOnlyError, match="read-only"):
            method(*range(len(signature(method).parameters)))
    assert storage.get_study_name_from_id(study) == "digits"
    assert storage.get_study_id_from_name("digits") == study
    assert len(storage.get_study_directions(study)) == 1
    assert storage.get_study_user_attrs(study) == {}
    assert optuna.load_study(study_name="digits", storage=storage).metric_names == ["val_loss"]
    assert storage.get_trial(storage.get_all_trials(study)[3]._trial_id).number == 3
    assert not isinstance(storage, RDBStorage)
    assert isinstance(storage, ReadOnlyStorage)
