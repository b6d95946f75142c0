"""The database that holds a record, by its URL; its password is in the environment and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tune.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import URL

Say = Callable[[str], None]
"""Where a wait for the database is told; where nothing is to be told, nothing is waited for."""

IDENTITY = "identity"  # the note in a record, equal to that in its search.yaml
PASSWORDS = ("IMAGETUNE_STUDY_PASSWORD", "PGPASSWORD")
LEGAL = "postgresql://user@host/database or sqlite:///file"
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def study_url(text: str | None) -> str | None:
    """A database's URL as it is kept: with its driver, a file's path absolute. None stays None: the journal.

    Raises:
        UserError: no such URL, or it holds a password. The message never does.
    """
    if text is None:
        return None
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UserError(f"--study: the text given is not the URL of a database; legal: {LEGAL}") from None
    _refuse_password(url)
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() == "sqlite":
        if not url.database or ":memory:" in url.database or url.database.startswith("file:"):
            raise UserError(f"--study {text}: a database in memory keeps nothing; legal: {LEGAL}")
        url = url.set(database=str(Path(url.database).expanduser().absolute()))
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        package = "psycopg[binary]" if error.name == "psycopg" else error.name
        raise UserError(f"--study: {url.drivername} needs what is not installed; pip install '{package}'") from None
    except Exception:
        raise UserError(f"--study: no database is called {url.drivername!r}; legal: {LEGAL}") from None
    return str(url)


def _refuse_password(url: URL) -> None:
    if url.password is None and not any("pass" in key.lower() for key in url.query):
        return
    kept = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
    plain = url._replace(password=None).set(query=kept)  # `set` takes None for "as it was"
    raise UserError(
        f"--study holds a password, which would be seen and stored; put it into the environment "
        f"({' or '.join(PASSWORDS)}) and give --study {plain}"
    )


def password() -> str | None:
    """The database's password, from the environment; PGPASSWORD is read by PostgreSQL's own library."""
    return os.environ.get(PASSWORDS[0]) or None


def shown(url: str) -> str:
    """A database in messages: host and name, or a file."""
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    host = parsed.host or parsed.query.get("host") or "localhost"
    return f"{host}{f':{parsed.port}' if parsed.port else ''}/{parsed.database or parsed.username or ''}"


def taken(url: str, name: str) -> UserError:
    """The error for a name that is taken in a database."""
    message = f"{shown(url)} holds a study {name!r} already"
    return UserError(f"{message}; legal: another --name, or --resume or --extend N beside its folder")
