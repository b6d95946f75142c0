"""One driver per search wherever its record can be reached, not only where its folder's lock can.

In PostgreSQL the driver's connection holds an advisory lock: no connection, no lock, no write. Elsewhere (another
database, a folder on a network file system) the driver renews a lease in the study; one that loses it stops in order.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tune.record import lock
from tune.record.disk import UnwritableError
from tune.record.folder import SearchFolder
from tune.record.journal import DamagedRecordError
from tune.record.process_identity import DRIVER, LostSearchError, held, is_here, lives, myself, named
from tune.record.study import Record
from tune.spec.metric import Objective

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tune.record.advisory import AdvisoryLock

LIFE = 45.0  # seconds for which a lease holds
BEAT = 10.0  # seconds between two renewals
WATCH = 12.0  # seconds to watch a lease that has run out: its holder's clock may be behind
_NETWORK = ("nfs", "cifs", "smb", "fuse", "ceph", "lustre", "glusterfs", "beegfs")
_LOCAL = ("fuseblk", "fuse.fuse-overlayfs")


class Lease(Protocol):
    """The right to drive a search."""

    lost: Callable[[str], None]
    """Told once when the right is lost."""

    def check(self) -> None:
        """Raise LostSearchError where the right is lost."""


@contextmanager
def leading(folder: SearchFolder, record: Record) -> Iterator[Lease]:
    """Hold the search's study while the body runs; the folder's own lock is held already.

    Raises:
        UserError: another driver lives; the message names it.
    """
    lease: Heartbeat | AdvisoryLock | Unshared
    if (engine := _postgresql(record)) is not None:
        from tune.record.advisory import AdvisoryLock

        lease = AdvisoryLock(record, engine)
    elif folder.study is not None or on_network(folder.path):
        lease = Heartbeat(record)
    else:
        lease = Unshared()
    lease.acquire(str(folder.path))
    record.guard = lease.check
    try:
        yield lease
    finally:
        lease.release()


def is_driven(folder: SearchFolder, record: Record) -> bool:
    """Whether a living driver holds the search, here or elsewhere."""
    if lock.is_driven(folder):
        return True
    if (engine := _postgresql(record)) is not None:
        from tune.record.advisory import is_locked

        return is_locked(engine, record.name)
    shared = folder.study is not None or on_network(folder.path)
    return shared and lives(record.facts.get(DRIVER))


def _postgresql(record: Record) -> Engine | None:
    engine = record.engine
    return engine if engine is not None and engine.dialect.name == "postgresql" else None


def refuse_driven(folder: SearchFolder, objective: Objective) -> None:
    """Refuse a journal that another machine writes to, before it is mended.

    Raises:
        UserError: another driver lives.
    """
    if folder.study is None and folder.journal.is_file() and on_network(folder.path):
        with suppress(DamagedRecordError):
            holder = Record.open(folder.journal, folder.name, objective).facts.get(DRIVER)
            if lives(holder):
                raise held(str(folder.path), holder)


def on_network(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a folder lies on a file system that several machines may share."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return False
    path, best, kind = str(folder.resolve()), "", ""
    for _, point, system, *_ in lines:
        point = point.replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two on one point, the later lies on top
            best, kind = point, system
    return kind.startswith(_NETWORK) and kind not in _LOCAL


# -- the kinds


class Unshared:
    """A folder on a disk of this machine: the lock in it is enough."""

    lost: Callable[[str], None]

    def acquire(self, place: str) -> None:
        """Nothing to do."""

    def check(self) -> None:
        """Never lost."""

    def release(self) -> None:
        """Nothing to do."""


class Heartbeat:
    """A lease in the study, renewed by a thread."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._value: dict[str, Any] = {**myself(), "token": uuid.uuid4().hex, "until": 0.0}
        self._valid_until = 0.0
        self._taken_by: str | None = None
        self._over, self._renewing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self.lost: Callable[[str], None] = lambda reason: None

    def acquire(self, place: str) -> None:
        """Take the lease; where one of another machine has run out, watch first whether it is renewed."""
        before = self._record.facts.get(DRIVER)
        if lives(before):
            raise held(place, before)
        if before and before.get("until") and not is_here(before):
            time.sleep(WATCH)
        start = time.monotonic()
        value = self._next()
        if not self._record.exchange(DRIVER, before, value):
            raise held(place, self._record.facts.get(DRIVER))
        self._value, self._valid_until = value, start + LIFE
        self._thread.start()

    def check(self) -> None:
        """Renew a lease that has run out while the study could not be reached, unless another took it."""
        if self._taken_by is None and time.monotonic() > self._valid_until:
            self._renew()
        if self._taken_by is not None:
            raise LostSearchError(f"the search was taken over by {self._taken_by}; this driver writes no more")

    def release(self) -> None:
        """Give the lease back."""
        self._over.set()
        self._thread.join(timeout=2 * BEAT)
        if self._taken_by is None:
            with suppress(UnwritableError):  # it runs out by itself
                self._record.exchange(DRIVER, self._value, {**self._value, "until": 0.0})

    def _next(self) -> dict[str, Any]:
        return {**self._value, "until": time.time() + LIFE}

    def _beat(self) -> None:
        while self._taken_by is None and not self._over.wait(BEAT):
            try:
                self._renew()
            except (UnwritableError, OSError):
                continue  # `check` looks again before the next write
        if self._taken_by is not None:
            self.lost(f"failed: the search was taken over by {self._taken_by}")

    def _renew(self) -> None:
        with self._renewing:
            start, value = time.monotonic(), self._next()
            if not self._record.exchange(DRIVER, self._value, value):
                now = self._record.facts.get(DRIVER) or {}
                if now.get("token") != self._value["token"]:
                    self._taken_by = named(now)
                    return
                value = now  # written before, and its answer was lost
            self._value, self._valid_until = value, start + LIFE
