"""The journal file: Optuna's format, locked by the kernel, mended where a write was cut off, patient with a full disk."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalFileLock, JournalFileBackend

from tune.errors import WorkError

FULL = (errno.ENOSPC, errno.EDQUOT)  # "no space left on device", "disk quota exceeded"
FULL_DISK_PATIENCE = 600.0  # seconds to wait for room before giving up
FULL_DISK_PAUSE = 2.0  # seconds between two attempts


class DamagedRecordError(WorkError):
    """The journal is damaged where it cannot be mended without losing finished work."""


class FullDiskError(WorkError):
    """The disk stayed full for longer than `FULL_DISK_PATIENCE`."""


class FlockLock(BaseJournalFileLock):
    """An advisory lock on a file beside the journal; the kernel lets go of it when its holder dies.

    Optuna's own locks are files that outlive a killed process: the next append then waits for 30 seconds, or for ever.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Let go."""
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._descriptor = None


class Journal(JournalFileBackend):
    """Optuna's journal file, whose appends are whole or not at all."""

    def __init__(self, path: Path, say: Callable[[str], None] = lambda text: None) -> None:
        path = path.absolute()  # a relative one would change its meaning with the working directory
        super().__init__(str(path), lock_obj=FlockLock(path.with_name(f".{path.name}.lock")))
        self._path = path
        self._say = say

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records, fsynced; on a full disk undo the part written, wait for room, try again.

        Raises:
            FullDiskError: no room within `FULL_DISK_PATIENCE` seconds. The journal is as it was.
        """
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        for _ in while_full(self._path.parent, self._say):
            with _locked(self._lock), open(self._path, "ab", buffering=0) as file:
                before = os.fstat(file.fileno()).st_size
                try:
                    _write_all(file.fileno(), text)
                    os.fsync(file.fileno())
                    return
                except OSError as error:
                    os.ftruncate(file.fileno(), before)  # else the next append would be glued to the part written
                    if error.errno not in FULL:
                        raise


@contextmanager
def _locked(lock: BaseJournalFileLock) -> Iterator[None]:
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write_all(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]


def while_full(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Attempts at a write: the loop body returns once it succeeded; each further turn waits for room first.

    Raises:
        FullDiskError: `FULL_DISK_PATIENCE` seconds of attempts were not enough.
    """
    start = time.monotonic()
    yield
    say(
        f"the disk of {folder} is full: paused; free some space and the work goes on (waiting {FULL_DISK_PATIENCE:.0f} s)"
    )
    while time.monotonic() - start < FULL_DISK_PATIENCE:
        time.sleep(FULL_DISK_PAUSE)
        yield
    raise FullDiskError(
        f"{folder}: the disk stayed full for {FULL_DISK_PATIENCE:.0f} seconds; free some space and resume"
    )


def mend(path: Path) -> str | None:
    """Cut off what a kill or a full disk left unfinished at a journal's end; say so, or None where nothing was wrong.

    Raises:
        DamagedRecordError: a line before the end is damaged: records after it would be lost.
    """
    content = path.read_bytes()
    good, number = 0, 0
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if not line.endswith(b"\n") or not _is_record(line):
            break
        good += len(line)
    if good == len(content):
        return None
    rest = content[good:].splitlines(keepends=True)
    if any(line.endswith(b"\n") and _is_record(line) for line in rest[1:]):
        raise DamagedRecordError(
            f"{path}: line {number} is damaged and whole records follow it; "
            f"restore the file from a backup, or cut it off before that line and lose what follows"
        )
    with path.open("r+b") as file:
        file.truncate(good)
        os.fsync(file.fileno())
    return f"{path}: cut off {len(content) - good} bytes of an unfinished record at the end"


def _is_record(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and "op_code" in record and "worker_id" in record
