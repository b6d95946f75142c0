"""Reaching a database: how to connect, and whether it has the tables of this version of Optuna."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import exc

from tune.errors import WorkError, first_line
from tune.record.storage.url import password, shown

# A host that vanishes is noticed, on either side, within a minute.
_POSTGRESQL = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
    "options": "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}


def template(url: str) -> str:
    """A URL for Optuna, which fills in what stands in braces."""
    return url.replace("{", "{{").replace("}", "}}")


def arguments(url: str, connections: int = 1) -> dict[str, Any]:
    """Arguments of an engine. It has one connection: in PostgreSQL only the one with the search's lock may write."""
    parsed, connect = sqlalchemy.make_url(url), dict[str, Any]()
    if parsed.get_backend_name() == "sqlite":
        connect = {"timeout": 30}
    else:
        connect = {key: value for key, value in _POSTGRESQL.items() if key not in parsed.query}
        if secret := password():
            connect["password"] = secret
    return {"connect_args": connect, "pool_size": 1, "max_overflow": connections - 1}


def has_tables(url: str) -> bool:
    """Whether the database has Optuna's tables. A file that does not exist is not created.

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
        raise WorkError(f"cannot connect to the database {shown(url)}: {database_line(error)}") from None
    finally:
        engine.dispose()


def check_tables(url: str, *, create: bool, attempts: int = 5) -> None:
    """Check the version of Optuna's tables, and create them first; repeatedly, as two searches may start at once.

    Raises:
        WorkError: they cannot be created, or are of another version of Optuna.
    """
    for attempt in range(attempts):
        try:
            # Optuna's checks open two more connections within the first.
            storage = RDBStorage(template(url), arguments(url, 3), skip_table_creation=not create)
        except RuntimeError as error:
            raise WorkError(f"the database {shown(url)}: {database_line(error)}") from None
        except (exc.SQLAlchemyError, StorageInternalError, AssertionError) as error:
            if attempt == attempts - 1:
                reason = database_line(error.__cause__ or error)
                raise WorkError(f"cannot create tables in the database {shown(url)}: {reason}") from None
            time.sleep(0.5)
        else:
            storage.remove_session()
            storage.engine.dispose()
            return


def database_line(error: BaseException) -> str:
    """What a database driver says: it never includes the password."""
    return first_line(getattr(error, "orig", None) or error)
