"""The study of a search in a database, told from those of other searches by the identity in its `search.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection

from tune.errors import UserError
from tune.record.folder import SearchFolder
from tune.record.storage.database import Database
from tune.record.storage.journal import DamagedRecordError
from tune.record.storage.url import shown

IDENTITY = "identity"  # the attribute of a study, equal to that in its search.yaml


def check_new_study(folder: SearchFolder, url: str) -> None:
    """Refuse to start a search whose name a study in the database has already.

    Raises:
        UserError: it has.
        WorkError: the database cannot be reached.
    """
    if (database := Database.connect(url)) is not None:
        with closing(database):
            if folder.name in _names(database):
                raise _taken(folder, folder.name)


def open_study(
    folder: SearchFolder,
    study: Mapping[str, Any],
    directions: Sequence[StudyDirection],
    say: Callable[[str], None] | None,
    *,
    create: bool,
) -> Database:
    """The database with the study of a search, to be closed after use.

    Args:
        folder: Of the search.
        study: Its name and identity, as in `search.yaml`.
        directions: Of its objectives.
        say: Told of waits for the database; without it nothing is waited for.
        create: Start the study where there is none.

    Raises:
        DamagedRecordError: it is missing.
        UserError: the database has another search's study of this name.
        WorkError: the database cannot be reached.
    """
    assert folder.study is not None
    database = Database.connect(folder.study, say, create=create)
    if database is None:
        raise _missing(folder, study["name"])
    try:
        _check_identity(database, folder, study, directions, create=create)
    except BaseException:
        database.close()
        raise
    return database


def _check_identity(
    database: Database,
    folder: SearchFolder,
    study: Mapping[str, Any],
    directions: Sequence[StudyDirection],
    *,
    create: bool,
) -> None:
    name, identity = study["name"], study[IDENTITY]
    if name not in _names(database):
        if not create:
            raise _missing(folder, name)
        with suppress(DuplicatedStudyError):  # another search of this name was faster: its identity tells
            database.create_new_study(directions, name)
    number = database.get_study_id_from_name(name)
    noted = database.get_study_user_attrs(number).get(IDENTITY)
    if create and noted is None and not database.get_all_trials(number, deepcopy=False):
        database.exchange(number, IDENTITY, None, identity)  # new, or a kill came before the identity
        noted = database.get_study_user_attrs(number).get(IDENTITY)
    if noted != identity:
        raise _taken(folder, name)


def _names(database: Database) -> list[str]:
    return [study.study_name for study in database.get_all_studies()]


def _missing(folder: SearchFolder, name: str) -> DamagedRecordError:
    assert folder.study is not None
    return DamagedRecordError(
        f"{shown(folder.study)} has no study {name!r}, the record of {folder.path}; restore it from a backup"
    )


def _taken(folder: SearchFolder, name: str) -> UserError:
    assert folder.study is not None
    return UserError(
        f"{shown(folder.study)} already has a study {name!r}, the record of another search than {folder.path}; "
        f"use another --name, or --resume with the folder of that search"
    )
