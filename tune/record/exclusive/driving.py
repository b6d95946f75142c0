"""Whether a process runs a search, and the right to run it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from tune.record.exclusive.folder_lock import folder_is_locked, on_network
from tune.record.exclusive.lease import DRIVER, Heartbeat, Lease
from tune.record.exclusive.process import is_alive, running_elsewhere
from tune.record.folder import SearchFolder
from tune.record.storage.journal import DamagedRecordError
from tune.record.study import Record
from tune.spec.metric import Objective


def is_driven(folder: SearchFolder, record: Record) -> bool:
    """Whether a process runs the search, on this machine or elsewhere."""
    if folder_is_locked(folder):
        return True
    if _in_postgresql(record):
        from tune.record.exclusive.advisory import is_locked

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
        from tune.record.exclusive.advisory import AdvisoryLock

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
