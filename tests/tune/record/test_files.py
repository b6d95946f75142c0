"""Files that appear whole, names that are one folder, locks that die with their holder, disks that are full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tune.errors import UserError
from tune.record import RunFolder, SearchFolder, disk, locate_run, locate_search
from tune.record.disk import FullDiskError, is_full, retry_while_disk_full
from tune.record.folder import check_new_name, write_whole
from tune.record.journal import Journal
from tune.record.lock import driving, is_driven

HOLD = """
import sys, time
from pathlib import Path
from tune.record import SearchFolder
from tune.record.lock import driving
with driving(SearchFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ünï cödé" / "file.bin"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"

    def failing(*args: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="input/output error"):
        write_whole(path, b"newer")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/abs", "../up"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="is not a name for a folder; legal: no slashes, no leading dot"):
        check_new_name(name)


@pytest.mark.parametrize("name", ["digits", "a b", "ünï", "00012-seed0", "x" * 100])
def test_names_of_one_folder_are_legal(name: str) -> None:
    check_new_name(name)


def test_what_does_not_exist_is_said_with_what_does(tmp_path: Path) -> None:
    (tmp_path / "digits" / "winners" / "00001-seed0").mkdir(parents=True)
    (tmp_path / "digits" / "search.yaml").touch()
    (tmp_path / "digits" / "winners" / "00001-seed0" / "experiment.yaml").touch()
    assert locate_search("digits", tmp_path) == SearchFolder(tmp_path / "digits")
    assert locate_search(str(tmp_path / "digits"), Path("elsewhere")).exists
    assert locate_run("digits/winners/00001-seed0", tmp_path) == RunFolder(tmp_path / "digits/winners/00001-seed0")
    with pytest.raises(UserError, match=r"'digitz' is not a search; below .* there are: digits"):
        locate_search("digitz", tmp_path)
    with pytest.raises(UserError, match=r"'digits' is not a run; below .* there are: digits/winners/00001-seed0"):
        locate_run("digits", tmp_path)


def test_a_second_driver_is_refused_while_the_first_lives_and_not_after_it_died(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path)
    assert not is_driven(folder)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder, holder.stdout:
        assert holder.stdout.readline() == "held\n"
        assert is_driven(folder)
        with (
            pytest.raises(UserError, match=rf'driven by another search that lives \(.*"pid": {holder.pid}'),
            driving(folder),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    assert not is_driven(folder)
    with driving(folder):
        assert is_driven(folder)
    assert not is_driven(folder)


def test_the_journals_lock_is_not_inherited_by_the_living(tmp_path: Path) -> None:
    """A process killed with the lock held lets go of it: the next append does not wait."""
    code = f"""
import os, signal
from pathlib import Path
from tune.record.journal import Journal
journal = Journal(Path({str(tmp_path / "study.journal")!r}))
journal.append_logs([{{"op_code": 1, "worker_id": "a"}}])
journal._lock.acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    journal = Journal(tmp_path / "study.journal")
    journal.append_logs([{"op_code": 2, "worker_id": "b"}])
    assert [log["op_code"] for log in journal.read_logs(0)] == [1, 2]


def test_an_append_that_fails_half_way_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "study.journal")
    journal.append_logs([{"op_code": 1, "worker_id": "a"}])
    before = (tmp_path / "study.journal").read_bytes()
    write = os.write
    monkeypatch.setattr(disk, "PAUSE", 0.0)
    room = iter([5, 5, 0, None])

    def cramped(descriptor: int, text: bytes) -> int:
        left = next(room, None)
        if left == 0:
            raise OSError(errno.ENOSPC, "no space left on device")
        return write(descriptor, text if left is None else text[:left])

    said: list[str] = []
    journal = Journal(tmp_path / "study.journal", said.append)
    monkeypatch.setattr(os, "write", cramped)
    journal.append_logs([{"op_code": 2, "worker_id": "a"}])
    monkeypatch.undo()
    assert (tmp_path / "study.journal").read_bytes() == before + b'{"op_code":2,"worker_id":"a"}\n'
    assert len(said) == 1
    assert "is full: paused for up to 600 s" in said[0]


def test_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "PAUSE", 0.001)
    tries = 0

    def full() -> None:
        nonlocal tries
        tries += 1
        raise OSError(errno.EDQUOT, "disk quota exceeded")

    with pytest.raises(FullDiskError, match=r"the disk stayed full for 0 s; free some space and resume"):
        retry_while_disk_full(full, tmp_path, patience=0.05)
    assert tries > 2


def test_a_full_disk_is_told_from_other_errors() -> None:
    cause = OSError(errno.ENOSPC, "no space left on device")
    outer = RuntimeError("PytorchStreamWriter failed")
    outer.__context__ = cause
    assert is_full(cause)
    assert is_full(outer)
    assert not is_full(OSError(errno.EACCES, "permission denied"))
    assert not is_full(None)
