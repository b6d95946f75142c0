"""The one door: names that are raced for, damaged and empty records, folders that may only be read."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tune.record.places import CONFIG, ROOT, Place
from tests.tune.search.simulation import SPACE, spec_of
from tune.errors import UserError, WorkError
from tune.record.exclusive.folder_lock import lock_folder
from tune.record.folder import SearchFolder
from tune.record.opening import check_startable, drive_search, read_search
from tune.record.search_status import search_status
from tune.record.search_yaml import made_with, read_spec, write_spec
from tune.record.storage.journal import DamagedRecordError
from tune.spec import SpecError


@pytest.fixture
def begun(tmp_path: Path) -> Place:
    """A search with one trial, recorded in the journal."""
    place = Place(tmp_path, None)
    place.begin().add(place.spec.space, CONFIG, {})
    return place


def test_a_search_is_started_then_read_then_resumed(place: Place) -> None:
    said: list[str] = []
    with drive_search(place.folder, place.spec, lambda: {"split": "x"}, said.append, resume=False) as search:
        search.record.add(place.spec.space, CONFIG, {})
        search.record.start(0)
        found = read_search(place.folder)
        assert (found.driven, [str(trial.status) for trial in found.trials]) == (True, ["running"])
        with (
            pytest.raises(UserError, match="already being run by another process"),
            drive_search(place.folder, place.spec, dict, said.append, resume=True),
        ):
            pass
    found = read_search(place.folder)
    assert (found.driven, [str(trial.status) for trial in found.trials]) == (False, ["waiting"])
    assert found.spec == dataclasses.replace(place.spec, name="s")
    assert made_with(place.folder)["split"] == "x"
    more = spec_of(place.tmp_path, SPACE, "search.trials=99")
    with drive_search(place.folder, more, lambda: 1 / 0, said.append, resume=True) as search:  # type: ignore[arg-type, return-value]
        assert (search.spec.search.trials, search.started.search.trials) == (99, 12)
        assert [trial.config for trial in search.record.trials()] == [CONFIG]


@pytest.mark.parametrize("theirs", ["the same", "another"])
def test_a_name_that_another_process_took_in_the_meantime_is_refused(tmp_path: Path, theirs: str) -> None:
    """Between the check and the lock lie a download and the start of Ray."""
    place = Place(tmp_path, None)
    check_startable(place.folder, place.spec, resume=False)
    other = place.spec if theirs == "the same" else spec_of(tmp_path, SPACE, "training.epochs=3")
    place.folder.path.mkdir()
    write_spec(place.folder, other, {})
    before = place.folder.spec.read_bytes()
    with (
        pytest.raises(UserError, match="already exists; use --resume"),
        drive_search(place.folder, place.spec, dict, place.said.append, resume=False),
    ):
        pass
    assert place.folder.spec.read_bytes() == before
    assert not place.folder.journal.exists()


def test_a_search_that_changed_in_the_meantime_is_not_resumed(begun: Place) -> None:
    check_startable(begun.folder, begun.spec, resume=True)
    write_spec(begun.folder, spec_of(begun.tmp_path, SPACE, "training.epochs=3"), {})
    with (
        pytest.raises(SpecError) as refused,
        drive_search(begun.folder, begun.spec, dict, begun.said.append, resume=True),
    ):
        pass
    assert [problem.field for problem in refused.value.problems] == ["experiment.training.epochs"]


def test_what_a_killed_start_left_is_started_again(tmp_path: Path) -> None:
    place = Place(tmp_path, None)
    place.folder.path.mkdir()
    for name in (".driver.lock", "data.npz", ".x.partial"):
        (place.folder.path / name).touch()
    with drive_search(place.folder, place.spec, dict, place.said.append, resume=False) as search:
        assert search.record.trials() == []
    place.folder.journal.unlink()
    with drive_search(place.folder, place.spec, dict, place.said.append, resume=True) as search:
        assert search.record.trials() == []
    place.folder.journal.unlink()
    place.folder.trial(0).mkdir()  # now trials were lost
    with (
        pytest.raises(DamagedRecordError, match="restore it from a backup"),
        drive_search(place.folder, place.spec, dict, place.said.append, resume=True),
    ):
        pass


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "study.journal is missing"),
        (b"", "study.journal is empty"),
        (b'{"op_code":0,"worker_id":"a"', "study.journal is empty"),
        (b"\x00\xff\xfe" * 50 + b"\n", "study.journal is damaged"),
        (b"5\n[1]\n", "study.journal is damaged"),
        (b'{"op_code":99,"worker_id":"a"}\n', "study.journal is damaged"),
    ],
)
def test_a_damaged_record_is_refused_by_name(begun: Place, content: bytes | None, line: str) -> None:
    begun.folder.journal.unlink()
    if content is not None:
        begun.folder.journal.write_bytes(content)
    for read in (read_search, search_status):
        with pytest.raises(WorkError, match=line):
            read(begun.folder)


@pytest.mark.parametrize("content", ["", "experiment: [", "5", "space: {}", "\x00"])
def test_a_damaged_description_is_refused_by_name(begun: Place, content: str) -> None:
    begun.folder.spec.write_text(content)
    with pytest.raises(UserError, match=r"search\.yaml"):
        search_status(begun.folder)
    begun.folder.spec.unlink()
    with pytest.raises(DamagedRecordError, match=r"search\.yaml is missing"):
        search_status(begun.folder)
    shutil.rmtree(begun.folder.path)
    with pytest.raises(DamagedRecordError, match=r"is missing; is the disk or the server that holds it connected"):
        search_status(begun.folder)


def test_a_journal_that_is_cut_off_is_read_up_to_there_and_repaired_by_a_resume(begun: Place) -> None:
    whole = begun.folder.journal.read_bytes()
    begun.folder.journal.write_bytes(whole + b'{"op_code":5,"wor')
    assert sum(search_status(begun.folder).counts.values()) == 1
    assert begun.folder.journal.read_bytes() != whole
    with drive_search(begun.folder, begun.spec, dict, begun.said.append, resume=True):
        assert begun.folder.journal.read_bytes().startswith(whole)
    assert any("unfinished record" in line for line in begun.said)


READ = """
import os, sys
from pathlib import Path
from tune.record.folder import SearchFolder
from tune.record.search_status import search_status
folder = SearchFolder(Path(sys.argv[1]), sys.argv[2] or None)
search_status(folder)  # what it imports may not be readable for others
os.setuid(65534)
assert not os.access(folder.path, os.W_OK)
print(search_status(folder).counts["waiting"], search_status(folder).status)
"""


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder that other users can enter; below `tmp_path`, each start of pytest takes that right away again."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's folder: only root can become another user")
@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_search_is_read_by_whoever_may_only_read_it(public_path: Path, kind: str) -> None:
    place = Place(public_path, None if kind == "journal" else f"sqlite:///{public_path}/studies.db")
    place.begin().add(place.spec.space, CONFIG, {})
    line = [sys.executable, "-c", READ, str(place.folder.path), place.study or ""]
    with lock_folder(place.folder):
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "1 running\n", done.stderr
    place.folder.lock.unlink()
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "1 interrupted\n", done.stderr
    place.close()


def test_reading_writes_nothing(place: Place) -> None:
    place.begin().add(place.spec.space, CONFIG, {})
    place.close()

    def files() -> dict[str, tuple[int, bytes]]:
        paths = [path for path in place.tmp_path.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}

    before = files()
    read_search(place.folder)
    assert files() == before


def test_a_folder_that_was_renamed_keeps_its_name(begun: Place) -> None:
    begun.folder.path.rename(begun.tmp_path / "renamed")
    folder = SearchFolder(begun.tmp_path / "renamed")
    assert (read_search(folder).spec.name, read_spec(folder).name, search_status(folder).search) == ("renamed",) * 3
