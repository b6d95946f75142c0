"""PostgreSQL's advisory lock on a search, held by the one connection through which its driver writes.

A connection that is lost takes the lock with it; the next one takes it again before anything is written, unless
another driver has been there in between. So there is no moment at which two drivers can write.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Engine, event, text

from tune.record.connection import AwayError
from tune.record.database import DatabaseAwayError
from tune.record.process_identity import DRIVER, LostSearchError, held, myself, named
from tune.record.study import Record

DYING = 2.0  # seconds for the server to notice that a killed holder's connection is closed
_WHERE = "locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32) + objid::bigint = CAST({key} AS bigint)"
_HERE = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
_END_MINE = f"""
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.{_WHERE.format(key="%s")} AND l.{_HERE} AND a.application_name = %s AND a.pid <> pg_backend_pid()
"""


def lock_key(name: str) -> int:
    """A study's name as a signed 64-bit number."""
    return int.from_bytes(hashlib.sha256(f"imagetune:{name}".encode()).digest()[:8], "big", signed=True)


def is_locked(engine: Engine, name: str) -> bool:
    """Whether a living connection holds a study.

    Raises:
        DatabaseAwayError: it cannot be asked.
    """
    query = text(f"SELECT count(*) FROM pg_locks WHERE {_WHERE.format(key=':key')} AND {_HERE} AND granted")
    try:
        with engine.connect() as connection:
            return bool(connection.execute(query, {"key": lock_key(name)}).scalar())
    except AwayError as error:
        raise DatabaseAwayError(f"the database is away ({error})") from None


class AdvisoryLock:
    """The right to drive a search whose record lies in PostgreSQL."""

    def __init__(self, record: Record, engine: Engine) -> None:
        self._record, self._engine = record, engine
        self._token = uuid.uuid4().hex
        self._place = ""
        self._noted = False
        self._taken_by: str | None = None
        self.lost: Callable[[str], None] = lambda reason: None

    def acquire(self, place: str) -> None:
        """Take the lock, and say in the study who has it.

        Raises:
            UserError: another driver has it.
        """
        self._place, self._before = place, self._record.facts.get(DRIVER)
        event.listen(self._engine, "connect", self._connected)
        self._engine.dispose()  # the connection until now has no lock
        self._record.note(DRIVER, {**myself(), "token": self._token})
        self._noted = True

    def check(self) -> None:
        """Raise LostSearchError where another driver was found in our place."""
        if self._taken_by is not None:
            raise LostSearchError(f"the search was taken over by {self._taken_by}; this driver writes no more")

    def release(self) -> None:
        """Let the next one in."""
        event.remove(self._engine, "connect", self._connected)
        self._engine.dispose()

    def _connected(self, connection: Any, _: object) -> None:
        try:
            self.check()
            self._take(connection)
            if self._noted:
                self._look_for_another(connection)
        except BaseException:
            connection.close()
            raise

    def _take(self, connection: Any) -> None:
        """Take the lock for a new connection; from one of ours that the server believes to be alive, if need be."""
        key, mine, deadline = lock_key(self._record.name), f"imagetune {self._token}", time.monotonic() + DYING
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", (mine,))
            while True:
                cursor.execute("SELECT pg_try_advisory_lock(%s::bigint)", (key,))
                if cursor.fetchone()[0]:
                    break
                if time.monotonic() > deadline:
                    raise self._refusal()
                cursor.execute(_END_MINE, (key, mine))
                connection.commit()
                time.sleep(0.1)
            connection.commit()

    def _refusal(self) -> Exception:
        if not self._noted:
            return held(self._place, self._before)
        self._taken_by = "another driver"
        self.lost(f"failed: the search was taken over by {self._taken_by}")
        return LostSearchError("another driver took the search over while the database was away")

    def _look_for_another(self, connection: Any) -> None:
        """Between two connections another driver may have come and gone: what this one knows is old then."""
        query = (
            "SELECT a.value_json FROM study_user_attributes a JOIN studies s ON s.study_id = a.study_id "
            "WHERE s.study_name = %s AND a.key = %s"
        )
        with closing(connection.cursor()) as cursor:
            cursor.execute(query, (self._record.name, DRIVER))
            row = cursor.fetchone()
        connection.commit()
        holder = json.loads(row[0]) if row else None
        if not holder or holder.get("token") != self._token:
            self._taken_by = named(holder)
            self.lost(f"failed: the search was taken over by {self._taken_by}")
            self.check()
