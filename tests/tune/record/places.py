"""What the tests of records share: a PostgreSQL server, and folders whose records lie anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from search_spaces import Config
from tests.tune.search.simulation import LOSS, spec_of
from tune.record.exclusive import driving
from tune.record.exclusive.driving import lease
from tune.record.folder import SearchFolder
from tune.record.opening import open_record
from tune.record.search_yaml import write_spec
from tune.record.storage.url import study_url
from tune.record.study import Record

ROOT = Path(__file__).parents[3]
CONFIG: Config = {"training.optimizer.lr": 0.0123456789012345, "training.batch_size": 16}


@dataclass
class Server:
    """A PostgreSQL server in a folder."""

    programs: Path
    folder: Path
    port: int
    user: str | None

    def command(self, program: str, *words: str) -> list[str]:
        """A command line on the server's folder, under a user that the server accepts."""
        line = [str(self.programs / program), "-D", str(self.folder / "data"), *words]
        return ["runuser", "-u", self.user, "--", *line] if self.user else line

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(self.command(program, *words), cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def create(self) -> None:
        """Make the folder and start."""
        self._run("initdb", "--no-sync", "-U", "tester", "--auth=trust")
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self.start()
        self.sql("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'swordfish'")

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = str(self.folder / "log")
        # Not through a pipe: the server would keep it open.
        line = self.command("pg_ctl", "start", "-w", "-l", log, "-o", options)
        subprocess.run(line, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def stop(self) -> None:
        """As in a crash: every connection is cut."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate")

    def url(self, database: str = "postgres", user: str = "tester") -> str:
        """Without a password."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """The URL of a database without studies: Optuna's tables are made once, for all tests."""
        if not self.sql("SELECT 1 FROM pg_database WHERE datname = 'tests1'"):
            self.sql("CREATE DATABASE tests1")
        elif self.sql("SELECT 1 FROM pg_tables WHERE tablename = 'studies'", "tests1"):
            self.sql("TRUNCATE studies CASCADE", "tests1")
        return self.url("tests1")


class Place:
    """A folder `s` for a search, and its record."""

    def __init__(self, tmp_path: Path, study: str | None) -> None:
        self.tmp_path, self.spec = tmp_path, spec_of(tmp_path)
        self.study = study_url(study)
        self.folder = SearchFolder(tmp_path / "s", self.study)
        self.said: list[str] = []
        self._open: list[Record] = []

    def begin(self) -> Record:
        """A new record."""
        self.folder.path.mkdir(exist_ok=True)
        if not self.folder.spec.is_file():
            write_spec(self.folder, self.spec, {})
        return self.keep(open_record(self.folder, self.spec.search.objective, self.said.append, create=True))

    def open(self) -> Record:
        """The record again, as another process would open it."""
        return self.keep(open_record(self.folder, self.spec.search.objective, self.said.append))

    def keep(self, record: Record) -> Record:
        """Close it at the end of the test."""
        self._open.append(record)
        return record

    def close(self) -> None:
        """Close every record."""
        for record in self._open:
            record.close()

    def holder(self) -> subprocess.Popen[str]:
        """Another process that drives the search until it is killed; has begun when this returns."""
        line = [sys.executable, "-m", "tests.tune.record.places", str(self.folder.path), self.study or ""]
        process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert process.stdout is not None
        assert process.stdout.readline() == "holds it\n"
        return process


def main(path: str, study: str) -> None:
    """Drive a search until killed."""
    import time

    folder = SearchFolder(Path(path), study or None)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(driving, "on_network", lambda folder: True)  # a journal is held by a lease, too
    record = open_record(folder, LOSS)
    with lease(folder, record):
        print("holds it", flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
