"""One process runs a search at a time, also where several machines can reach its record.

- In its folder: a lock that the kernel releases when its holder dies, however it dies.
- PostgreSQL: an advisory lock of the very connection that writes, see `advisory.py`.
- SQLite, or a folder on a network file system: a lease in the record, renewed by a thread; one that loses it stops.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tune.errors import UserError
from tune.record.disk import UnwritableError
from tune.record.folder import SearchFolder
from tune.record.journal import DamagedRecordError
from tune.record.study import Record
from tune.spec.metric import Objective

DRIVER = "driver"  # the note in the record: which process runs the search, or ran it last
LIFE = 45.0  # seconds for which a lease is valid
BEAT = 10.0  # seconds between two renewals
WATCH = 12.0  # seconds to watch an expired lease: its holder's clock may be slow
_NETWORK = ("nfs", "cifs", "smb", "fuse", "ceph", "lustre", "glusterfs", "beegfs")
_LOCAL = ("fuseblk", "fuse.fuse-overlayfs")
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class LostSearchError(UnwritableError):
    """Another process took the search over; nothing may be written any more."""


def running_elsewhere(folder: SearchFolder, holder: Mapping[str, Any] | None) -> UserError:
    """The error for a search that another process runs."""
    return UserError(f"{folder.path} is already being run by another process ({named(holder)}); stop that one first")


# -- which process


def this_process() -> dict[str, Any]:
    """This process, so that others on this machine can tell whether it is alive."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine(), "started": _started(os.getpid())}


def _machine() -> str:
    """One running system and one view of its processes: containers on one host differ."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in ticks; empty if there is none. Process ids are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _is_here(holder: Mapping[str, Any]) -> bool:
    return bool(_machine()) and holder.get("machine") == _machine()


def is_alive(holder: Mapping[str, Any] | None) -> bool:
    """Whether the holder of a lease is alive: on this machine by its process, elsewhere by its time."""
    if not holder or not holder.get("until"):
        return False
    if _is_here(holder):
        return bool(holder["started"]) and _started(holder["pid"]) == holder["started"]
    return time.time() < float(holder["until"])


def named(holder: Mapping[str, Any] | None) -> str:
    """A process in messages."""
    return f"host {holder['host']}, pid {holder['pid']}" if holder and "pid" in holder else "unknown host and pid"


# -- the lock in the folder


@contextmanager
def lock_folder(folder: SearchFolder) -> Iterator[None]:
    """Lock a search's folder for this process.

    Raises:
        UserError: another process has locked it; the message names it.
    """
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(descriptor):
            with suppress(ValueError):
                raise running_elsewhere(folder, json.loads(os.pread(descriptor, 1000, 0)))
            raise running_elsewhere(folder, None)  # it is just writing who it is
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Try for a moment: another process's `is_driven` may have it for an instant."""
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return True  # a file system without locks: the lease in the record is what counts there
        else:
            return True
    return False


def folder_is_locked(folder: SearchFolder) -> bool:
    """Whether a process has locked a search's folder."""
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    finally:
        os.close(descriptor)
    return False


# -- the right to write to the record


def is_driven(folder: SearchFolder, record: Record) -> bool:
    """Whether a process runs the search, on this machine or elsewhere."""
    if folder_is_locked(folder):
        return True
    if _in_postgresql(record):
        from tune.record.advisory import is_locked

        return is_locked(record.engine, record.name)
    return _is_shared(folder) and is_alive(record.facts.get(DRIVER))


def refuse_driven_journal(folder: SearchFolder, objective: Objective) -> None:
    """Refuse a journal that another machine writes to, before it is repaired.

    Raises:
        UserError: another process runs the search.
    """
    if folder.study is None and folder.journal.is_file() and on_network(folder.path):
        with suppress(DamagedRecordError), closing(Record.open(folder.journal, folder.name, objective)) as record:
            if is_alive(holder := record.facts.get(DRIVER)):
                raise running_elsewhere(folder, holder)


@contextmanager
def lease(folder: SearchFolder, record: Record) -> Iterator[Lease]:
    """Have the right to write to the record, which every write checks; the folder is locked already.

    Raises:
        UserError: another process runs the search; the message names it.
    """
    kind: type[Lease] = Heartbeat if _is_shared(folder) else Lease
    if _in_postgresql(record):
        from tune.record.advisory import AdvisoryLock

        kind = AdvisoryLock
    held = kind(folder, record)
    held.acquire()
    record.guard = held.check
    try:
        yield held
    finally:
        held.release()


def _in_postgresql(record: Record) -> bool:
    return record.engine is not None and record.engine.dialect.name == "postgresql"


def _is_shared(folder: SearchFolder) -> bool:
    return folder.study is not None or on_network(folder.path)


def on_network(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a folder is on a file system that several machines may share."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return False
    path, best, kind = str(folder.resolve()), "", ""
    for _, point, system, *_ in lines:
        point = point.replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two on one point, the later is on top
            best, kind = point, system
    return kind.startswith(_NETWORK) and kind not in _LOCAL


class Lease:
    """The right to write to a record. This one, for a folder on a disk of this machine: its lock is enough."""

    def __init__(self, folder: SearchFolder, record: Record) -> None:
        self._folder, self._record = folder, record
        self._taken_by: str | None = None
        self.on_lost: Callable[[str], None] = lambda reason: None
        """Called once when the right is lost."""

    def acquire(self) -> None:
        """Get it."""

    def check(self) -> None:
        """Raise LostSearchError where another process has it."""
        if self._taken_by is not None:
            raise LostSearchError(f"the search was taken over by {self._taken_by}; nothing more is written here")

    def release(self) -> None:
        """Give it back."""

    def _lose(self, taken_by: str) -> None:
        self._taken_by = taken_by
        self.on_lost(f"failed: the search was taken over by {taken_by}")


class Heartbeat(Lease):
    """A lease in the record, renewed by a thread."""

    def __init__(self, folder: SearchFolder, record: Record) -> None:
        super().__init__(folder, record)
        self._value: dict[str, Any] = {**this_process(), "token": uuid.uuid4().hex, "until": 0.0}
        self._valid_until = 0.0
        self._over, self._renewing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def acquire(self) -> None:
        """Take the lease; where one of another machine has expired, watch first whether it is renewed."""
        before = self._record.facts.get(DRIVER)
        if is_alive(before):
            raise running_elsewhere(self._folder, before)
        if before and before.get("until") and not _is_here(before):
            time.sleep(WATCH)
        start = time.monotonic()
        value = self._next()
        if not self._record.exchange(DRIVER, before, value):
            raise running_elsewhere(self._folder, self._record.facts.get(DRIVER))
        self._value, self._valid_until = value, start + LIFE
        self._thread.start()

    def check(self) -> None:
        """Renew a lease that expired while the record could not be reached, unless another process took it."""
        if self._taken_by is None and time.monotonic() > self._valid_until:
            self._renew()
        super().check()

    def release(self) -> None:
        """Give the lease back."""
        self._over.set()
        self._thread.join(timeout=2 * BEAT)
        if self._taken_by is None:
            with suppress(UnwritableError):  # it expires by itself
                self._record.exchange(DRIVER, self._value, {**self._value, "until": 0.0})

    def _next(self) -> dict[str, Any]:
        return {**self._value, "until": time.time() + LIFE}

    def _beat(self) -> None:
        while self._taken_by is None and not self._over.wait(BEAT):
            with suppress(UnwritableError, OSError):  # `check` tries again before the next write
                self._renew()

    def _renew(self) -> None:
        with self._renewing:
            start, value = time.monotonic(), self._next()
            if not self._record.exchange(DRIVER, self._value, value):
                now = self._record.facts.get(DRIVER) or {}
                if now.get("token") != self._value["token"]:
                    self._lose(named(now))
                    return
                value = now  # written before, and its answer was lost
            self._value, self._valid_until = value, start + LIFE
