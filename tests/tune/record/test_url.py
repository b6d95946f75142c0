"""URLs of databases, their passwords, and whose record lies where."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tune.record.places import Place, Server
from tests.tune.search.simulation import LOSS
from tune.errors import UserError, WorkError
from tune.record.folder import SearchFolder, locate_search
from tune.record.opening import check_startable, open_record
from tune.record.search_yaml import with_study_if_used, write_spec
from tune.record.storage.journal import DamagedRecordError
from tune.record.storage.url import shown, study_url, typed

SECRET = "swordfish"


def test_urls_are_kept_with_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert study_url(None) is None
    assert study_url("postgresql://me@db.example:5433/tune") == "postgresql+psycopg://me@db.example:5433/tune"
    assert typed("postgresql+psycopg://me@db.example:5433/tune") == "postgresql://me@db.example:5433/tune"
    assert typed("sqlite:////tmp/file") == "sqlite:////tmp/file"
    assert study_url("postgres://db/tune") == "postgresql+psycopg://db/tune"
    assert study_url("sqlite:///studies.db") == f"sqlite:///{tmp_path}/studies.db"
    assert shown("postgresql+psycopg://me@db.example:5433/tune") == "db.example:5433/tune"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (f"postgresql://me:{SECRET}@db/tune", r"contains a password.*PGPASSWORD.*--study postgresql://me@db/tune$"),
        (
            f"postgresql://me@db/tune?password={SECRET}&a=b",
            r"contains a password.*--study postgresql://me@db/tune\?a=b$",
        ),
        (f"postgresql://me:{SECRET}@db:port/tune", "not the URL of a database; use one such as postgresql://"),
        ("studies.db", "not the URL of a database"),
        ("sqlite://", "a database in memory is lost"),
        ("sqlite:///:memory:", "a database in memory is lost"),
        ("mysql://me@db/tune", "'mysql' is not a supported database"),
        ("rubbish://me@db/tune", "'rubbish' is not a supported database"),
    ],
)
def test_urls_that_are_refused(url: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as refused:
        study_url(url)
    assert SECRET not in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("variable", ["PGPASSWORD", "IMAGETUNE_STUDY_PASSWORD"])
def test_the_password_is_in_the_environment(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    place = Place(tmp_path, postgresql.new_database().replace("tester@", "guarded@"))
    with pytest.raises(WorkError, match=r"cannot connect to the database 127\.0\.0\.1:\d+/tests\d+: .*password"):
        place.begin()
    monkeypatch.setenv(variable, "wrong-one")
    with pytest.raises(WorkError, match="password authentication failed") as refused:
        place.begin()
    assert "wrong-one" not in str(refused.value)
    monkeypatch.setenv(variable, SECRET)
    place.begin()
    assert all(SECRET not in path.read_text() for path in place.folder.path.iterdir())
    place.close()


def test_without_study_the_url_that_is_needed_is_told(database: Place) -> None:
    database.begin()
    with pytest.raises(UserError, match=r"is in a database; use --study (sqlite|postgresql)") as refused:
        open_record(SearchFolder(database.folder.path), LOSS)
    assert refused.value.exit_code == 2
    assert with_study_if_used(locate_search("s", database.tmp_path), database.study) == database.folder


def test_a_journal_is_not_looked_for_in_a_database(tmp_path: Path) -> None:
    place = Place(tmp_path, None)
    place.begin()
    there = locate_search("s", tmp_path, f"sqlite:///{tmp_path}/studies.db")
    with pytest.raises(UserError, match="leave out --study"):
        open_record(there, LOSS)
    assert with_study_if_used(there, there.study) == place.folder
    assert not (tmp_path / "studies.db").exists()


def test_a_name_is_taken_once_in_a_database(database: Place) -> None:
    check_startable(database.folder, database.spec, resume=False)
    database.begin()
    other = SearchFolder(database.tmp_path / "elsewhere" / "s", database.study)
    with pytest.raises(UserError, match="already has a study 's'"):
        check_startable(other, database.spec, resume=False)
    assert not other.path.exists()
    write_spec(other, database.spec, {})
    for create in (True, False):
        with pytest.raises(UserError, match="already has a study 's', the record of another search"):
            open_record(other, LOSS, create=create)


def test_a_renamed_folder_keeps_its_study(database: Place) -> None:
    database.begin().note("a", 1)
    shutil.move(database.folder.path, database.tmp_path / "renamed")
    renamed = SearchFolder(database.tmp_path / "renamed", database.study)
    assert database.keep(open_record(renamed, LOSS)).facts["a"] == 1


def test_a_study_that_is_gone_is_told(database: Place, tmp_path: Path) -> None:
    write_spec(database.folder, database.spec, {})
    with pytest.raises(DamagedRecordError, match="has no study 's', the record of"):
        open_record(database.folder, LOSS)
    assert not (tmp_path / "studies.db").exists()


def test_a_start_cut_off_by_a_kill_is_completed(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from tune.record.storage.database import Database

    with monkeypatch.context() as patch:
        patch.setattr(Database, "exchange", lambda *words: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            database.begin()
    with pytest.raises(UserError, match="the record of another search"):
        open_record(database.folder, LOSS)
    assert database.begin().trials() == []
    assert database.open().trials() == []


def test_a_host_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    place = Place(tmp_path, "postgresql://me@127.0.0.1:1/tune")
    with pytest.raises(WorkError, match=r"^cannot connect to the database 127\.0\.0\.1:1/tune: [^\n]*refused") as told:
        check_startable(place.folder, place.spec, resume=False)
    assert told.value.exit_code == 1
