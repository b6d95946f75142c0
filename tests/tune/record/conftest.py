"""A private PostgreSQL for the tests, and records in every kind of storage."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tune.record.places import Place, Server
from tests.tune.record.s3_server import S3Server, serving


def binaries() -> Path | None:
    """Where PostgreSQL's programs lie; None without them."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if (initdb := shutil.which("initdb")) is not None:
        found.append(Path(initdb).parent)
    return max(found, default=None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server of our own: nothing of the machine's is touched."""
    if (programs := binaries()) is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="imagetune-pg-"))  # short: the path of a socket may have 107 characters
    if user is not None:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(programs, folder, port, user)
    try:
        server.create()
        yield server
    finally:
        subprocess.run(server.command("pg_ctl", "stop", "-m", "immediate"), cwd="/", capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server of our own."""
    pytest.importorskip("moto", reason="moto is not installed (pip install 'moto[s3]' flask flask-cors)")
    with serving() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket, for a machine that has never seen it."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return s3.new_bucket()


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A search's folder whose record lies in each kind of storage in turn."""
    yield from _place(request, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The same in databases only."""
    yield from _place(request, tmp_path)


def _place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    urls: dict[str, Callable[[], str | None]] = {
        "journal": lambda: None,
        "network": lambda: None,
        "sqlite": lambda: f"sqlite:///{tmp_path}/studies.db",
        "postgresql": lambda: request.getfixturevalue("postgresql").new_database(),
    }
    place = Place(tmp_path, urls[request.param]())
    yield place
    place.close()
