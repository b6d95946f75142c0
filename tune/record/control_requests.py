"""Requests to a search from outside (`stop`, `add`, `set`), on their way to the driver and in the record.

Only the driver writes to a journal, so there a request is a file of its own, which appears whole; in a database it is
a note under a key of its own. Once the driver has taken a request, it is a note with what came of it, in either place.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from data.untrusted import read_json
from tune.files import write_whole
from tune.record.folder import SearchFolder
from tune.record.study import Record
from tune.spec.files import value_text

KEY = "request:"  # what the keys of notes begin with


class Action(StrEnum):
    """What is requested."""

    STOP = "stop"
    STOP_TRIAL = "stop_trial"
    ADD = "add"
    SET = "set"


def now() -> str:
    """The time, as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class ControlRequest:
    """One request.

    Attributes:
        action: What is asked for.
        trial: The number of the trial to stop.
        values: The configuration to add, or the settings to change, by dotted name.
        id: Unique; sorts by time.
        asked: When, as ISO 8601 in UTC.
        host: On which machine.
        taken: When the driver did it; empty while it has not.
        result: What came of it, in a line.
    """

    action: Action
    trial: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}")
    asked: str = field(default_factory=now)
    host: str = field(default_factory=socket.gethostname)
    taken: str = ""
    result: str = ""

    def __str__(self) -> str:
        """As on the command line, without the search."""
        if self.action is Action.STOP_TRIAL:
            return f"stop --trial {self.trial}"
        return " ".join([self.action, *(f"{name}={value_text(value)}" for name, value in self.values.items())])

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, flat: Mapping[str, Any]) -> ControlRequest:
        """The inverse of `to_dict`.

        Raises:
            TypeError, ValueError, KeyError: It is none.
        """
        found = cls(**{**flat, "action": Action(flat["action"])})
        texts = (found.id, found.asked, found.host, found.taken, found.result)
        if not (
            all(isinstance(text, str) for text in texts)
            and isinstance(found.trial, int | None)
            and isinstance(found.values, Mapping)
        ):
            raise TypeError("not a request")
        return found


def put(folder: SearchFolder, record: Record, request: ControlRequest) -> None:
    """Leave a request for the driver that runs the search now, or the next one.

    Raises:
        OSError, UnwritableError: It cannot be written.
    """
    if folder.study is None:
        write_whole(folder.requests / f"{request.id}.json", json.dumps(request.to_dict()).encode())
    else:
        record.note(f"{KEY}{request.id}", request.to_dict())


def all_requests(folder: SearchFolder, facts: Mapping[str, Any]) -> list[ControlRequest]:
    """All that was ever asked, in order. `facts` are the notes of the record."""
    found = [ControlRequest.from_dict(value) for key, value in facts.items() if key.startswith(KEY)]
    noted = {request.id for request in found}
    for path in folder.requests.glob("*.json"):
        if path.stem not in noted:
            with suppress(OSError, ValueError, TypeError, KeyError):  # taken just now, or no request
                request = ControlRequest.from_dict(read_json(path))
                if request.id == path.stem:  # by which the file will be deleted
                    found.append(request)
    return sorted(found, key=lambda request: request.id)


def pending(folder: SearchFolder, record: Record) -> list[ControlRequest]:
    """The requests that no driver has taken, in order; for the driver, which may ask several times a second."""
    files = {path.stem: path for path in folder.requests.glob("*.json")}
    if folder.study is None and not files:
        return []
    requests = all_requests(folder, record.facts)
    for request in requests:
        if request.taken and request.id in files:  # the driver was killed before it deleted the file
            files[request.id].unlink(missing_ok=True)
    return [request for request in requests if not request.taken]


def mark_taken(folder: SearchFolder, record: Record, request: ControlRequest, result: str) -> ControlRequest:
    """Note what came of a request; to be called by the driver once it has done it."""
    done = dataclasses.replace(request, taken=now(), result=result)
    record.note(f"{KEY}{request.id}", done.to_dict())
    (folder.requests / f"{request.id}.json").unlink(missing_ok=True)
    return done
