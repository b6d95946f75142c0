"""Connections to a database: with what settings, whether it can be reached, and Optuna's tables in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import exc

from tune.errors import WorkError
from tune.record.url import password, shown

# A host that vanishes without a word is noticed, on either side, within a minute.
_POSTGRESQL = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
    "options": "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}
_TEMPORARY = (exc.OperationalError, exc.InterfaceError, exc.InternalError)


class AwayError(Exception):
    """The database did not answer, or not now. None of SQLAlchemy's: Optuna's own retries let it pass."""


def raise_away(context: Any) -> None:
    """For SQLAlchemy's event `handle_error`: lost connections and other passing errors as `AwayError`."""
    if context.is_disconnect or isinstance(context.sqlalchemy_exception, _TEMPORARY):
        raise AwayError(first_line(context.original_exception))


def first_line(error: BaseException) -> str:
    """What a driver says: it never holds the password."""
    return (str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__])[0]


def template(url: str) -> str:
    """A URL for Optuna, which fills in what stands in braces."""
    return url.replace("{", "{{").replace("}", "}}")


def arguments(url: str) -> dict[str, Any]:
    """Arguments of an engine. It has one connection: in PostgreSQL the one that holds the search may write."""
    parsed = sqlalchemy.make_url(url)
    kind, connect = parsed.get_backend_name(), dict[str, Any]()
    if kind == "postgresql":
        connect = {key: value for key, value in _POSTGRESQL.items() if key not in parsed.query}
    elif kind == "sqlite":
        connect = {"timeout": 30}
    if kind != "sqlite" and (secret := password()):
        connect["password"] = secret
    return {"connect_args": connect, "pool_size": 1, "max_overflow": 0}


def has_tables(url: str) -> bool:
    """Whether the database holds Optuna's tables. A file that is not there is not made.

    Raises:
        WorkError: it cannot be reached.
    """
    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        return False
    engine = sqlalchemy.create_engine(parsed, **arguments(url))
    try:
        with engine.connect() as connection:
            return sqlalchemy.inspect(connection).has_table("alembic_version")
    except exc.SQLAlchemyError as error:
        raise WorkError(f"the database {shown(url)} cannot be reached: {first_line(error)}") from None
    finally:
        engine.dispose()


def set_up(url: str, attempts: int = 5) -> None:
    """Make or check Optuna's tables; tried again, since two searches may begin in one database at once.

    Raises:
        WorkError: they cannot be made, or are of another version of Optuna.
    """
    while True:
        attempts -= 1
        try:
            # Its checks open a second connection within the first.
            storage = RDBStorage(template(url), {**arguments(url), "max_overflow": 2})
        except RuntimeError as error:
            raise WorkError(f"the database {shown(url)}: {first_line(error)}") from None
        except (exc.SQLAlchemyError, StorageInternalError, AssertionError) as error:
            if attempts == 0:
                reason = first_line(error.__cause__ or error)
                raise WorkError(f"the database {shown(url)} cannot be set up: {reason}") from None
            time.sleep(0.5)
        else:
            storage.remove_session()
            storage.engine.dispose()
            return
