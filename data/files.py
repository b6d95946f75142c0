"""Files that appear whole or not at all, and one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from data.values import Say

PARTIAL = "*.partial"
"""Glob pattern of temporary files that an interrupted write may leave: safe to delete while nothing is written."""


def md5_of(path: Path) -> str:
    """Hex md5 of a file's content, as dataset publishers state it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, as ``fsync`` does for a file's content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A path to write to, which replaces ``target``, synced to disk, when the block ends and vanishes when it fails.

    Args:
        target: The file to be; its folder exists.

    Yields:
        A temporary path in the same folder. A process that is killed leaves it behind, hidden; see ``sweep``.
    """
    partial = target.with_name(f".{secrets.token_hex(6)}{PARTIAL[1:]}")  # short: names may be as long as they can be
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
        sync_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def sweep(folder: Path, pattern: str, seconds: float = 3600.0) -> list[Path]:
    """What killed processes left under ``pattern``: entries not written to for ``seconds``."""
    old = time.time() - seconds
    found = []
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_mtime < old:
                found.append(path)
    return found


def cache_folder() -> Path:
    """Where imagetune keeps what can be made again, below the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imagetune"


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def one_at_a_time(folders: Iterable[Path], name: str, say: Say) -> Iterator[bool]:
    """Hold a lock between processes, so that a node downloads and decodes once, not once per trial.

    The lock belongs to an open file, so it ends with its process, however that ends. Where no lock is available (all
    folders are read-only, or their file systems have no locks) the block runs all the same: files are always written
    whole, and only work is done twice.

    Args:
        folders: Where the lock file may be; the first that can be written to is taken.
        name: What is locked.
        say: Called with a line if another process has the lock.

    Yields:
        Whether this process has the lock.
    """
    with contextlib.ExitStack() as stack:
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context((folder / f".{name}.lock").open("w"))
                _lock(file, f"waiting for another process that is preparing {name}", say)
            except OSError:
                continue
            yield True
            return
        yield False


def _lock(file: IO[str], waiting: str, say: Say) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(waiting)
        fcntl.flock(file, fcntl.LOCK_EX)
