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
from tune.files import write_whole
from tune.record import RunFolder, SearchFolder, disk, locate_run, locate_search
from tune.record.disk import FullDiskError, UnwritableError, obstacle, retry_until_writable
from tune.record.exclusive.folder_lock import folder_is_locked, lock_folder
from tune.record.folder import candidates, check_new_name, check_writable
from tune.record.storage.journal import Journal

HOLD = """
import sys, time
from pathlib import Path
from tune.record import SearchFolder
from tune.record.exclusive.folder_lock import lock_folder
with lock_folder(SearchFolder(Path(sys.argv[1]))):
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


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            ".",
            "..",
            ".hidden",
            "a/b",
            "/abs",
            "../up",
            "-x",
            "ends ",
            " begins",
            "two\nlines",
            "tab\t",
            "\x1b[1m",
        ),
        *("caf\udce9", "line\u2028separator", "x" * 256, "\u00fc" * 128),
    ],
)
def test_names_that_cannot_be_one_folders_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot be used as a name") as refused:
        check_new_name(name)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "name", ["digits", "a b", "\u00fcn\u00ef", "00012-seed0", "x" * 255, "\u732b", "a\u0301", "run #3", "x: y", "\\a"]
)
def test_names_of_one_folder_can_be_used(name: str, tmp_path: Path) -> None:
    check_new_name(name)
    (tmp_path / name).mkdir()


def test_a_folder_that_cannot_be_made_is_refused_and_one_that_can_is_left_alone(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep")
    check_writable(tmp_path)
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/new: Not a directory; use an --out that is writable"):
        check_writable(tmp_path / "file" / "new")


def test_what_does_not_exist_is_said_with_what_does(tmp_path: Path) -> None:
    (tmp_path / "digits" / "winners" / "00001-seed0").mkdir(parents=True)
    (tmp_path / "digits" / "search.yaml").touch()
    (tmp_path / "digits" / "winners" / "00001-seed0" / "experiment.yaml").touch()
    assert locate_search("digits", tmp_path) == SearchFolder(tmp_path / "digits")
    assert locate_search(str(tmp_path / "digits"), Path("elsewhere")).exists
    assert locate_run("digits/winners/00001-seed0", tmp_path) == RunFolder(tmp_path / "digits/winners/00001-seed0")
    with pytest.raises(UserError, match=r"'digitz' is not a search.*; below .* there are: digits"):
        locate_search("digitz", tmp_path)
    with pytest.raises(UserError, match=r"'digits' is not a run.*; below .* there are: digits/winners/00001-seed0"):
        locate_run("digits", tmp_path)


def test_a_second_driver_is_refused_while_the_first_lives_and_not_after_it_died(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path)
    assert not folder_is_locked(folder)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder, holder.stdout:
        assert holder.stdout.readline() == "held\n"
        assert folder_is_locked(folder)
        with (
            pytest.raises(UserError, match=rf"already being run by another process \(host .*, pid {holder.pid}\)"),
            lock_folder(folder),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    assert not folder_is_locked(folder)
    with lock_folder(folder):
        assert folder_is_locked(folder)
    assert not folder_is_locked(folder)


def test_the_journals_lock_is_not_inherited_by_the_living(tmp_path: Path) -> None:
    """A process killed with the lock held lets go of it: the next append does not wait."""
    code = f"""
import os, signal
from pathlib import Path
from tune.record.storage.journal import Journal
journal = Journal(Path({str(tmp_path / "study.journal")!r}))
journal.append_logs([{{"op_code": 1, "worker_id": "a"}}])
journal._lock.acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    journal = Journal(tmp_path / "study.journal")
    journal.append_logs([{"op_code": 2, "worker_id": "b"}])
    assert [log["op_code"] for log in journal.read_logs(0)] == [1, 2]


def test_a_journal_of_several_blocks_is_read_as_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune.record.storage.journal.BLOCK", 100)
    path = tmp_path / "study.journal"
    journal = Journal(path)
    journal.append_logs([{"op_code": n, "worker_id": "ä\n"} for n in range(20)])
    assert [log["op_code"] for log in journal.read_logs(0)] == [*range(20)]
    assert [log["op_code"] for log in journal.read_logs(7)] == [*range(7, 20)]
    journal.append_logs([{"op_code": 20, "worker_id": "a"}])
    assert [log["op_code"] for log in journal.read_logs(20)] == [20]
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])  # a record that is being written
    assert [log["op_code"] for log in Journal(path).read_logs(0)] == [*range(20)]
    path.write_bytes(whole.replace(b'"op_code":3,', b'"op_code":,') + b"\n")
    with pytest.raises(ValueError, match="Expecting value"):
        list(Journal(path).read_logs(0))


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
    assert len(said) == 2
    assert "is full" in said[0]


def test_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "PAUSE", 0.001)
    tries = 0

    def full() -> None:
        nonlocal tries
        tries += 1
        raise OSError(errno.EDQUOT, "disk quota exceeded")

    with pytest.raises(FullDiskError, match=r"is full, and stayed so for 0 s"):
        retry_until_writable(full, tmp_path, patience=0.05)
    assert tries > 2


def test_a_full_disk_is_told_from_other_errors() -> None:
    cause = OSError(errno.ENOSPC, "no space left on device")
    outer = RuntimeError("PytorchStreamWriter failed")
    outer.__context__ = cause
    assert obstacle(cause, Path("/s")) == obstacle(outer, Path("/s")) == "the disk of /s is full"
    assert not obstacle(OSError(errno.EACCES, "permission denied"), Path("/s"))
    assert not obstacle(None, Path("/s"))


def test_a_file_system_that_is_gone_is_told_from_a_file_that_is_missing(tmp_path: Path) -> None:
    for number in (errno.ESTALE, errno.EIO, errno.ETIMEDOUT):
        assert obstacle(OSError(number, "x"), tmp_path).startswith(f"{tmp_path} cannot be reached (")
    missing = FileNotFoundError(errno.ENOENT, "no such file", str(tmp_path / "s" / "file"))
    assert obstacle(missing, tmp_path / "s") == f"{tmp_path / 's'} is gone"
    assert not obstacle(missing, tmp_path)


def test_no_second_journal_is_begun_where_the_first_is_gone(tmp_path: Path) -> None:
    """As below a mount point whose file system is not there."""
    journal = Journal(tmp_path / "study.journal")
    journal.append_logs([{"op_code": 0}])
    (tmp_path / "study.journal").rename(tmp_path / "elsewhere")
    with pytest.raises(UnwritableError, match=r"study\.journal: No such file"):
        journal.append_logs([{"op_code": 1}])
    assert not (tmp_path / "study.journal").exists()


class TestNames:
    """A name means the folder below --out; a path means itself."""

    @pytest.fixture
    def out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        for place in ("out/mx", "elsewhere", "sub/mx"):
            (tmp_path / place).mkdir(parents=True)
            (tmp_path / place / "search.yaml").touch()
            (tmp_path / place / "experiment.yaml").touch()
        return Path("out")

    @pytest.mark.parametrize("shadow", ["folder", "search"])
    def test_a_name_is_the_one_below_out_also_beside_a_folder_of_that_name(self, out: Path, shadow: str) -> None:
        Path("mx").mkdir()
        if shadow == "search":
            Path("mx/search.yaml").touch()
            Path("mx/experiment.yaml").touch()
        assert locate_search("mx", out).path == locate_run("mx", out).path == Path("out/mx")
        assert candidates("mx", out)[0] == Path("out/mx")

    def test_a_path_is_itself(self, out: Path, tmp_path: Path) -> None:
        Path("mx").mkdir()
        Path("mx/search.yaml").touch()
        for path in ("./mx", "out/mx", "sub/mx", str(tmp_path / "sub/mx")):
            assert locate_search(path, out).path == Path(path)
        assert locate_search("elsewhere", out).path == Path("elsewhere")  # a bare name that is only here

    def test_both_places_are_named_where_there_is_none(self, out: Path) -> None:
        with pytest.raises(UserError, match="out/nothing or nothing; below out there are: mx"):
            locate_search("nothing", out)
