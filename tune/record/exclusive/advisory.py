"""PostgreSQL's advisory lock on a search, of the one connection through which its driver writes.

A connection that is lost takes the lock with it; the next one takes it again before anything is written, unless
another process ran the search in between. So there is no moment at which two processes can write.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from contextlib import closing
from typing import Any

from sqlalchemy import Engine, event, text

from tune.record.exclusive.lease import DRIVER, Lease, LostSearchError
from tune.record.exclusive.process import named, running_elsewhere, this_process
from tune.record.folder import SearchFolder
from tune.record.storage.database import AwayError, DatabaseAwayError
from tune.record.study import Record

DYING = 2.0  # seconds for the server to notice that a killed holder's connection is closed
_WHERE = "locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32) + objid::bigint = CAST({key} AS bigint)"
_HERE = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
_END_MINE = f"""
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.{_WHERE.format(key="%s")} AND l.{_HERE} AND a.application_name = %s AND a.pid <> pg_backend_pid()
"""
_HOLDER = (
    "SELECT a.value_json FROM study_user_attributes a JOIN studies s ON s.study_id = a.study_id "
    "WHERE s.study_name = %s AND a.key = %s"
)


def lock_key(name: str) -> int:
    """A study's name as a signed 64-bit number."""
    return int.from_bytes(hashlib.sha256(f"imagetune:{name}".encode()).digest()[:8], "big", signed=True)


def is_locked(engine: Engine, name: str) -> bool:
    """Whether an open connection has locked a study.

    Raises:
        DatabaseAwayError: the database does not answer.
    """
    query = text(f"SELECT count(*) FROM pg_locks WHERE {_WHERE.format(key=':key')} AND {_HERE} AND granted")
    try:
        with engine.connect() as connection:
            return bool(connection.execute(query, {"key": lock_key(name)}).scalar())
    except AwayError as error:
        raise DatabaseAwayError(f"the database does not answer ({error})") from None


class AdvisoryLock(Lease):
    """The right to write to a record in PostgreSQL."""

    def __init__(self, folder: SearchFolder, record: Record) -> None:
        super().__init__(folder, record)
        self._token, self._acquired = uuid.uuid4().hex, False

    def acquire(self) -> None:
        """Take the lock, and write into the record who has it."""
        self._before = self._record.facts.get(DRIVER)
        event.listen(self._record.engine, "connect", self._connected)
        self._record.engine.dispose()  # the connection until now has no lock
        self._record.note(DRIVER, {**this_process(), "token": self._token})
        self._acquired = True

    def release(self) -> None:
        """Let the next one in."""
        event.remove(self._record.engine, "connect", self._connected)
        self._record.engine.dispose()

    def _connected(self, connection: Any, _: object) -> None:
        try:
            self.check()
            self._take(connection)
            if self._acquired:
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
        if not self._acquired:
            return running_elsewhere(self._folder, self._before)
        self._lose("another process")
        return LostSearchError("another process took the search over while the database did not answer")

    def _look_for_another(self, connection: Any) -> None:
        """Between two connections another process may have come and gone: what this one knows is outdated then."""
        with closing(connection.cursor()) as cursor:
            cursor.execute(_HOLDER, (self._record.name, DRIVER))
            row = cursor.fetchone()
        connection.commit()
        holder = json.loads(row[0]) if row else None
        if not holder or holder.get("token") != self._token:
            self._lose(named(holder))
            self.check()
