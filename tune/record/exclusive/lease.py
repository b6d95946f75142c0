"""The right to write to a search's record: by the folder's lock alone, or by a lease in the record."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tune.record.disk import UnwritableError
from tune.record.exclusive.process import is_alive, is_here, named, running_elsewhere, this_process
from tune.record.folder import SearchFolder
from tune.record.study import Record

DRIVER = "driver"  # the note in the record: which process runs the search, or ran it last
LIFE = 45.0  # seconds for which a lease is valid
BEAT = 10.0  # seconds between two renewals
WATCH = 1.0  # seconds between two looks at a lease that may be held by a machine with another clock


class LostSearchError(UnwritableError):
    """Another process took the search over; nothing may be written any more."""


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
        """Take the lease; where another machine has not given it back, watch first whether it is renewed.

        For as long as it may be valid: the clock of the other machine may be ahead, or behind.
        """
        before = self._record.facts.get(DRIVER)
        if before and is_alive(before) and (is_here(before) or before["until"] - time.time() <= LIFE):
            raise running_elsewhere(self._folder, before)
        if before and before.get("until") and not is_here(before):
            start = time.monotonic()
            while time.monotonic() < start + LIFE:
                time.sleep(WATCH)
                if self._record.facts.get(DRIVER) != before:
                    raise running_elsewhere(self._folder, self._record.facts.get(DRIVER))
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
