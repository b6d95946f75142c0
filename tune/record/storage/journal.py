"""The journal file: Optuna's format, locked by the kernel, repaired where cut off, patient with a full disk."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock  # the type of `lock_obj`, not re-exported

from data.untrusted import parse_json
from data.words import counted
from tune.errors import WorkError
from tune.record import disk
from tune.record.disk import FullDiskError, UnwritableError, retry_until_writable

BLOCK = 2**20  # bytes of lines that are parsed together
MAX_LINE = 2**24  # bytes: a record has a few hundred


class DamagedRecordError(WorkError):
    """A search's record or its description is missing or damaged beyond repair."""


class FlockLock(BaseJournalFileLock):
    """A lock on a file beside the journal; the kernel releases it when its holder dies. One thread has it at a time.

    Optuna's own locks are files that outlive a killed process: the next append then waits for 30 seconds, or for ever.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._thread = path, threading.Lock()
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._thread.acquire()
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Release it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._thread.release()


class _Gathered(threading.local):
    """What a thread has appended in its block; None outside of one."""

    logs: list[dict[str, Any]] | None = None


class Journal(JournalFileBackend):
    """Optuna's journal file, whose appends are whole or not at all."""

    def __init__(self, path: Path, say: Callable[[str], None] = lambda text: None) -> None:
        path = path.absolute()  # a relative one would change its meaning with the working directory
        super().__init__(str(path), lock_obj=FlockLock(path.with_name(f".{path.name}.lock")))
        self._path = path
        self._say = say
        self._patience = disk.PATIENCE
        self._gathered = _Gathered()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Append what this thread appends in the block in one write at its end, or nothing if the block raises.

        What is read in the block does not show it yet; what other threads append is not held back. Not to be nested.
        """
        assert self._gathered.logs is None
        self._gathered.logs = []
        try:
            yield
            logs, self._gathered.logs = self._gathered.logs, None
            self.append_logs(logs)
        finally:
            self._gathered.logs = None

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The records from this one on. A whole journal is parsed in blocks, which takes half the time.

        Raises:
            DamagedRecordError: a line is too long to be a record.
        """
        done = size = 0
        if log_number_from == 0:
            with open(self._path, "rb") as file:
                for lines in _blocks(file, self._path):
                    records = _parsed(lines)
                    if records is None:
                        break
                    yield from records
                    done, size = done + len(lines), size + sum(map(len, lines))
                    self._log_number_offset[done] = size
        yield from super().read_logs(max(log_number_from, done))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records, fsynced. While the disk is full or out of reach, wait: the search pauses with its driver.

        Raises:
            FullDiskError: it stayed so. The journal is as it was.
            UnwritableError: it cannot be written for another reason.
        """
        if self._gathered.logs is not None:
            self._gathered.logs += logs
            return
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        try:
            retry_until_writable(lambda: self._append(text), self._path.parent, self._say, self._patience)
        except FullDiskError:
            self._patience = 0.0  # what ends the search must not wait again
            raise
        except OSError as error:
            raise UnwritableError(f"{self._path}: {error.strerror}; make it writable again and use --resume") from None

    def _append(self, text: bytes) -> None:
        """Append all of the text or nothing: what follows would be glued to a partial line."""
        with _locked(self._lock), open(self._path, "ab", buffering=0, opener=_existing) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                _write_all(file.fileno(), text)
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise


def _blocks(file: BinaryIO, path: Path) -> Iterator[list[bytes]]:
    """The lines of a journal, some at a time.

    Raises:
        DamagedRecordError: one is too long to be a record.
    """
    while block := file.read(BLOCK):
        block += file.readline(MAX_LINE)
        if len(block) > MAX_LINE and not block.endswith(b"\n"):
            raise DamagedRecordError(f"{path} is damaged: it has a line of more than {MAX_LINE:,} bytes")
        yield block.splitlines(keepends=True)


def _parsed(lines: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """The records in these lines; None if one of them is damaged or cut off."""
    try:
        records: list[dict[str, Any]] = parse_json(b"[%b]" % b",".join(lines))
    except ValueError:
        return None
    return records if len(records) == len(lines) and lines[-1].endswith(b"\n") else None


@contextmanager
def _locked(lock: BaseJournalFileLock) -> Iterator[None]:
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _existing(path: str, flags: int) -> int:
    """Open without making it: where the file system is gone, a second journal would be begun below its mount point."""
    return os.open(path, flags & ~os.O_CREAT)


def _write_all(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]


def repair(path: Path) -> str | None:
    """Cut off what a kill or a full disk left unfinished at a journal's end; returns what was done, None if nothing.

    Raises:
        DamagedRecordError: a line before the end is damaged: records after it would be lost.
    """
    good = damaged = size = 0
    for number, line in enumerate(_lines(path), 1):
        size += len(line)
        if not (line.endswith(b"\n") and _is_record(line)):
            damaged = damaged or number
        elif damaged:
            raise DamagedRecordError(
                f"{path}: line {damaged} is damaged and intact records follow it; "
                f"restore the file from a backup, or delete that line and everything after it"
            )
        else:
            good = size
    if not damaged:
        return None
    with path.open("r+b") as file:
        file.truncate(good)
        os.fsync(file.fileno())
    return f"{path}: removed {counted(size - good, 'byte')} of an unfinished record at the end"


def _lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as file:
            for lines in _blocks(file, path):
                yield from lines


def _is_record(line: bytes) -> bool:
    try:
        record = parse_json(line)
    except ValueError:
        return False
    return isinstance(record, dict) and "op_code" in record and "worker_id" in record
