"""The study of a search in a database, told from those of other searches by the identity in its `search.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection

from data.words import quoted
from tune.errors import UserError
from tune.record.storage.database import Database
from tune.record.storage.journal import DamagedRecordError
from tune.record.storage.url import shown

IDENTITY = "identity"  # the attribute of a study, equal to that in its search.yaml


def check_new_study(url: str, name: str, folder: Path) -> None:
    """Refuse to start a search, in this folder, whose name a study in the database has already.

    Raises:
        UserError: it has.
        WorkError: the database cannot be reached.
    """
    if (database := Database.connect(url)) is not None:
        with closing(database):
            if name in _names(database):
                raise _taken(url, name, folder)


def open_study(
    url: str,
    study: Mapping[str, Any],
    folder: Path,
    directions: Sequence[StudyDirection],
    say: Callable[[str], None] | None,
    *,
    create: bool,
) -> Database:
    """The database with the study of a search, to be closed after use.

    Args:
        url: Of the database.
        study: Its name and identity, as in `search.yaml`.
        folder: Of the search, for messages.
        directions: Of its objectives.
        say: Called with a line about waits for the database; without it, there is no waiting.
        create: Start the study where there is none.

    Raises:
        DamagedRecordError: it is missing.
        UserError: the database has another search's study of this name.
        WorkError: the database cannot be reached.
    """
    database = Database.connect(url, say, create=create)
    try:
        if database is None or (study["name"] not in _names(database) and not create):
            raise DamagedRecordError(
                f"{shown(url)} has no study {quoted(study['name'])}, the record of {folder}; restore it from a backup"
            )
        if _identity(database, study, directions, create=create) != study[IDENTITY]:
            raise _taken(url, study["name"], folder)
    except BaseException:
        if database is not None:
            database.close()
        raise
    return database


def _identity(
    database: Database, study: Mapping[str, Any], directions: Sequence[StudyDirection], *, create: bool
) -> object:
    """The identity that a study has in the database; a new one gets its own."""
    if study["name"] not in _names(database):
        with suppress(DuplicatedStudyError):  # another search of this name was faster: its identity tells
            database.create_new_study(directions, study["name"])
    number = database.get_study_id_from_name(study["name"])
    noted = database.get_study_user_attrs(number).get(IDENTITY)
    if create and noted is None and not database.get_all_trials(number, deepcopy=False):
        database.exchange(number, IDENTITY, None, study[IDENTITY])  # new, or a kill came before the identity
        noted = database.get_study_user_attrs(number).get(IDENTITY)
    return noted


def _names(database: Database) -> list[str]:
    return [study.study_name for study in database.get_all_studies()]


def _taken(url: str, name: str, folder: Path) -> UserError:
    return UserError(
        f"{shown(url)} already has a study {quoted(name)}, the record of another search than {folder}; "
        f"use another --name, or --resume with the folder of that search"
    )
