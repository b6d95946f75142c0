"""Disks that fill up, folders and journals that cannot be written: injected with real, small file systems."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tune.search.faults.outcome import SAME, Row, assert_same
from tests.tune.search.faults.searches import begin, ended, finish, killed_in_its_third_epoch, last_line, tiny


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


def _system(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


@contextmanager
def disk(at: Path, kilobytes: int, *options: str) -> Iterator[Path]:
    """A file system of its own, as small as one likes."""
    at.mkdir(parents=True, exist_ok=True)
    _system("mount", "-t", "tmpfs", "-o", ",".join((f"size={kilobytes}k", *options)), "tmpfs", at)
    try:
        yield at
    finally:
        _system("umount", "-l", at)


def _fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"0" * size)
            except OSError:
                continue
    return path


def full_disk_then_room(out: Path, quiet: Path) -> Row:
    """The disk of the whole search fills up, and after a while there is room again."""
    with disk(out / "disk", 4096) as small, begin(small, at=out, log=out / "log") as search:
        tiny(small)
        assert search.until_recorded(25)
        filler = _fill(small)
        assert search.until(lambda: "is full" in search.said), search.said
        time.sleep(3)
        filler.unlink()
        said, seconds = ended(search)
        assert "files can be written again" in said, said
        assert_same(small / "s", quiet)
    happened = "paused with a message, went on by itself once there was room"
    return Row("full disk, then room", "a full tmpfs under checkpoints and journal", happened, 0, SAME, seconds)


def full_disk_for_good(out: Path, quiet: Path) -> Row:
    """The disk stays full for longer than the search waits (4 s here, 10 minutes as shipped)."""
    with disk(out / "disk", 4096) as small:
        with begin(small, fault="worker:lingering,patience:4", log=out / "log") as search:
            assert search.until_recorded(25)
            filler = _fill(small)
            said, seconds = ended(search, 1)
            assert "free some space and resume" in said, said
        filler.unlink()
        finish(small)
        assert_same(small / "s", quiet)
    happened = "paused with a message, ended in order after the set time; resumed once there was room"
    return Row("full disk for good", "a full tmpfs, never emptied", happened, 1, SAME, seconds)


@contextmanager
def journal_on_a_disk_of_its_own(folder: Path, at: Path) -> Iterator[None]:
    """Put a search's journal on a tmpfs without a free page, in its place by a bind mount."""
    journal = folder / "study.journal"
    pages = -(-journal.stat().st_size // 4096)
    with disk(at, 4 * pages):
        shutil.copy(journal, at)
        _system("mount", "--bind", at / journal.name, journal)
        try:
            yield
        finally:
            _system("umount", "-l", journal)
            shutil.copy(at / journal.name, journal)


def full_journal(out: Path, quiet: Path) -> Row:
    """There is room for checkpoints and none for the driver's journal; then there is."""
    killed_in_its_third_epoch(out)
    with journal_on_a_disk_of_its_own(out / "s", out / "disk"), begin(out) as search:
        assert search.until(lambda: "is full" in search.said), search.said
        _system("mount", "-o", "remount,size=1024k", out / "disk")
        _, seconds = ended(search)
    assert_same(out / "s", quiet)
    happened = "the driver paused with a message in the middle of a write, went on once there was room"
    return Row("full disk, journal alone", "the journal on a full tmpfs", happened, 0, SAME, seconds)


def full_journal_for_good(out: Path, quiet: Path) -> Row:
    """There is room for checkpoints and none for the journal, for longer than the search waits."""
    killed_in_its_third_epoch(out)
    with (
        journal_on_a_disk_of_its_own(out / "s", out / "disk"),
        begin(out, fault="worker:lingering,patience:4") as search,
    ):
        said, seconds = ended(search, 1)
        assert "is full, and stayed so for 4 s; free some space and resume" in said, said
    finish(out)
    assert_same(out / "s", quiet)
    happened = "paused with a message, ended after the set time; resumed once there was room"
    return Row("full disk, journal alone, for good", "the journal on a full tmpfs", happened, 1, SAME, seconds)


def read_only_from_the_start(out: Path, quiet: Path) -> Row:
    """The folder in which a search is to begin is read-only."""
    with disk(out / "disk", 1024, "ro") as small, begin(small, at=out, log=out / "log") as search:
        said, seconds = ended(search, 2)
        assert "Read-only file system" in said, said
        assert not list(small.iterdir())
    happened = last_line(said).replace(f"{small}/", "")
    return Row("read-only folder, at the beginning", "a tmpfs mounted read-only", happened, 2, "nothing", seconds)


def read_only_at_resume(out: Path, quiet: Path) -> Row:
    """The folder of a search that is to go on is read-only."""
    killed_in_its_third_epoch(out)
    _system("mount", "--bind", out / "s", out / "s")
    _system("mount", "-o", "remount,bind,ro", out / "s")
    try:
        with begin(out) as search:
            said, seconds = ended(search, 2)
    finally:
        _system("umount", "-l", out / "s")
    assert "Read-only file system" in said, said
    happened = last_line(said).replace(f"{out}/", "")
    finish(out)
    assert_same(out / "s", quiet)
    return Row("read-only folder, at resume", "a bind mount made read-only", happened, 2, SAME, seconds)


def read_only_on_the_way(out: Path, quiet: Path) -> Row:
    """The journal takes no more writes in the middle of a search."""
    with begin(out) as search:
        assert search.until_recorded(25)
        _system("chattr", "+i", search.journal)
        try:
            said, seconds = ended(search, 1)
        finally:
            _system("chattr", "-i", search.journal)
    assert "study.journal" in said, said
    finish(out)
    assert_same(out / "s", quiet)
    happened = "ended with a line that names the journal; resumed once it could be written"
    return Row("read-only journal, on the way", "chattr +i", happened, 1, SAME, seconds)
