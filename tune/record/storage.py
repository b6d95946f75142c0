"""Where a record lies: the journal in the search's folder, or a database. `search.yaml` says which."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from tune.errors import UserError
from tune.record.folder import SearchFolder
from tune.record.journal import DamagedRecordError
from tune.record.search_yaml import made_with
from tune.record.study import Record
from tune.record.url import IDENTITY, Say, shown, taken
from tune.spec.metric import Objective

# -- search.yaml remembers where the record lies


def place_of(folder: SearchFolder, name: str | None = None) -> dict[str, Any]:
    """What `search.yaml` notes of a record that is to lie in a database; nothing for a journal."""
    if folder.study is None:
        return {}
    return {"study": {"url": folder.study, "name": name or folder.name, IDENTITY: uuid.uuid4().hex}}


def noted_place(folder: SearchFolder) -> Mapping[str, Any] | None:
    """Where `search.yaml` says that the record lies; None for the journal.

    Raises:
        UserError: the record lies elsewhere than the caller was told to look.
    """
    noted = made_with(folder).get("study") if folder.spec.is_file() else None
    if noted is None:
        if folder.study is not None and folder.exists:
            raise UserError(f"--study: the record of {folder.path} is the journal in it; leave --study out")
        return None
    if folder.study is None:
        # Not opened unasked: whoever can write the file could have the password sent to a server of his own.
        raise UserError(f"the record of {folder.path} lies in a database; give --study {noted['url']}")
    return dict(noted)


def lying_in(folder: SearchFolder, study: str | None) -> SearchFolder:
    """Another search than the one that `--study` was given for: there if its record is in a database at all."""
    return replace(folder, study=study if made_with(folder).get("study") else None)


# -- records


def open_record(folder: SearchFolder, objective: Objective, say: Say | None = None) -> Record:
    """The record of a search that exists. Close it after use.

    Raises:
        DamagedRecordError: it is missing or cannot be read.
        UserError: it lies elsewhere.
    """
    place = noted_place(folder)
    if place is None:
        return Record.open(folder.journal, folder.name, objective, **_said(say))
    from tune.record.database import Database

    assert folder.study is not None
    with ExitStack() as opening:
        storage = Database.connect(folder.study, say)
        if storage is not None:
            opening.callback(storage.close)
        if storage is None or storage.identity(place["name"]) is None:
            raise DamagedRecordError(
                f"{shown(folder.study)} holds no study {place['name']!r}, which is the record of {folder.path}; "
                f"restore it from a backup"
            )
        record = Record(storage, place["name"], objective)
        _check_identity(record, place, folder)
        opening.pop_all()
    return record


def begin_record(folder: SearchFolder, objective: Objective, say: Say | None = None) -> Record:
    """Begin the record of a new search, whose `search.yaml` is written already. Close it after use.

    Raises:
        UserError: the database holds a study of this name already.
    """
    place = noted_place(folder)
    if place is None:
        return Record.create(folder.journal, folder.name, objective, **_said(say))
    from tune.record.database import Database

    assert folder.study is not None
    storage = Database.connect(folder.study, say, create=True)
    assert storage is not None
    with ExitStack() as opening:
        opening.callback(storage.close)
        storage.begin(place["name"], objective)
        record = Record(storage, place["name"], objective)
        if not record.trials():
            record.exchange(IDENTITY, None, place[IDENTITY])
        _check_identity(record, place, folder)
        opening.pop_all()
    return record


def _said(say: Say | None) -> dict[str, Say]:
    return {"say": say} if say is not None else {}


def has_record(folder: SearchFolder) -> bool:
    """Whether the record was begun. A kill may fall between `search.yaml` and it."""
    place = noted_place(folder)
    if place is None:
        return folder.journal.is_file() and folder.journal.stat().st_size > 0
    from tune.record.database import Database

    assert folder.study is not None
    storage = Database.connect(folder.study)
    if storage is None:
        return False
    try:
        return bool(storage.identity(place["name"]))
    finally:
        storage.close()


def check_new_study(folder: SearchFolder) -> None:
    """Refuse to begin a search whose name is taken in the database; nothing is written.

    Raises:
        UserError: it is taken.
        WorkError: the database cannot be reached.
    """
    if folder.study is None:
        return
    from tune.record.database import Database

    storage = Database.connect(folder.study)
    if storage is None:
        return
    try:
        if storage.identity(folder.name) is not None:
            raise taken(folder.study, folder.name)
    finally:
        storage.close()


def _check_identity(record: Record, place: Mapping[str, Any], folder: SearchFolder) -> None:
    if record.facts.get(IDENTITY) == place[IDENTITY]:
        return
    assert folder.study is not None
    raise UserError(
        f"the study {place['name']!r} in {shown(folder.study)} is the record of another search than {folder.path}"
    )
