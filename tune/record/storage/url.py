"""The database with a record, by its URL; its password is in the environment and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from data.words import quoted
from tune.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import URL

PASSWORDS = ("IMAGETUNE_STUDY_PASSWORD", "PGPASSWORD")
EXAMPLES = "postgresql://user@host/database or sqlite:///file"
POSTGRESQL = "postgresql+psycopg"


def study_url(text: str | None) -> str | None:
    """A database's URL as it is recorded: with its driver, a file's path absolute. None stays None: the journal.

    Raises:
        UserError: it is not the URL of a database that can be used, or contains a password, which no message shows.
    """
    if text is None:
        return None
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UserError(f"--study: not the URL of a database; use one such as {EXAMPLES}") from None
    _refuse_password(url)
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres"):
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise UserError("--study: PostgreSQL needs psycopg; run: pip install 'psycopg[binary]'") from None
        return str(url.set(drivername=POSTGRESQL))
    if kind != "sqlite":
        raise UserError(f"--study: {quoted(kind)} is not a supported database; use one such as {EXAMPLES}")
    if not url.database or ":memory:" in url.database or url.database.startswith("file:"):
        raise UserError(f"--study {text}: a database in memory is lost when the search ends; use sqlite:///file")
    return str(url.set(drivername="sqlite", database=str(Path(url.database).expanduser().absolute())))


def _refuse_password(url: URL) -> None:
    if url.password is None and not any("pass" in key.lower() for key in url.query):
        return
    kept = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
    plain = url._replace(password=None).set(query=kept)  # `set` takes None for "as it was"
    raise UserError(
        f"--study contains a password, which others could see; put it into the environment "
        f"({' or '.join(PASSWORDS)}) and use --study {plain}"
    )


def password() -> str | None:
    """The database's password, from the environment; PGPASSWORD is read by PostgreSQL's own library."""
    return os.environ.get(PASSWORDS[0]) or None


def typed(url: str) -> str:
    """A recorded URL as users type it: without the driver."""
    return url.replace(f"{POSTGRESQL}:", "postgresql:", 1)


def shown(url: str) -> str:
    """A database in messages: host and name, or a file."""
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    host = parsed.host or parsed.query.get("host") or "localhost"
    return f"{host}{f':{parsed.port}' if parsed.port else ''}/{parsed.database or parsed.username or ''}"
