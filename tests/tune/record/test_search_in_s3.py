"""A search in S3 and PostgreSQL gives the table of a local one, however often it moves to another machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.tune.record.places import Server
from tests.tune.record.s3_server import S3Server
from tests.tune.record.training_here import SPACE, search_here
from tests.tune.search.processes import TUNE, Started
from tune import load_run, load_search
from tune.buckets import client, mirror
from tune.buckets.parsing import folder_of
from tune.cli.main import app
from tune.record.folder import SearchFolder

ROOT = Path(__file__).parents[3]
OWN = ["seconds", "node", "gpu"]  # how long each took, and where it ran


def imagetune(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(SPACE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def local(space: Path) -> SearchFolder:
    """The same search, local and undisturbed."""
    return search_here(space, space.parent / "out", None).folder


def assert_same_tables(found: SearchFolder, expected: SearchFolder) -> None:
    """All trials and epochs, to the last digit, but for how long they took and where they ran."""
    for ours, theirs in ((found.trials_table, expected.trials_table), (found.epochs_table, expected.epochs_table)):
        pd.testing.assert_frame_equal(
            pd.read_parquet(ours).drop(columns=OWN, errors="ignore"),
            pd.read_parquet(theirs).drop(columns=OWN, errors="ignore"),
            check_exact=True,
        )


class KilledError(BaseException):
    """The process dies here."""


WRITES = ("upload", "copy", "delete", "delete_folder")


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Let the process die at a write to the bucket, before it is done or right after."""
    real = {name: getattr(client, name) for name in WRITES}

    def arm(writes: int, done: bool) -> None:
        left = iter(range(writes, -1, -1))

        def dying(name: str) -> Callable[..., Any]:
            def call(*words: Any) -> Any:
                last = next(left) == 0
                if last and not done:
                    raise KilledError
                result = real[name](*words)
                if last:
                    raise KilledError
                return result

            return call

        for name in WRITES:
            monkeypatch.setattr(client, name, dying(name))

    return arm


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Go on on another machine, which has never seen the bucket."""
    names = iter(range(1000))

    def move() -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"machine{next(names)}"))
        monkeypatch.setattr(mirror, "_later", {})

    move()
    return move


def test_a_search_that_moves_on_after_every_few_writes_gives_the_same_tables(
    bucket: str,
    postgresql: Server,
    space: Path,
    local: SearchFolder,
    machines: Callable[[], None],
    kill_after: Callable[[int, bool], None],
) -> None:
    study, lives = postgresql.new_database(), 0
    while True:
        kill_after(3 + lives % 5, lives % 2 == 0)
        try:
            outcome = search_here(space, folder_of(bucket), study, resume=lives > 0)
            break
        except KilledError:
            lives += 1
            machines()
    kill_after(10**6, False)
    assert lives > 5
    assert outcome.state == "finished"
    assert_same_tables(outcome.folder, local)
    kept = {f"{path.parent.name}/{path.name}" for path in local.path.glob("trial_*/*")}
    assert {name for name in client.listing(f"{bucket}/s") if name.startswith("trial_")} == kept
    assert set(load_search(f"{bucket}/s", study=study).trials["checkpoint"].dropna()) == kept
    _retrain_and_evaluate(f"{bucket}/s", study, machines)


def _retrain_and_evaluate(search: str, study: str, machines: Callable[[], None]) -> None:
    """Each command on a machine of its own."""
    machines()
    best = int(load_search(search, study=study).best()["trial"].iloc[0])
    assert not load_search(search, study=study).model(best).training
    trained = imagetune("retrain", search, "--study", study, "--seeds", "1", "training.epochs=1", "--json")
    assert trained.exit_code == 0, trained.output
    run = f"{search}/winners/{json.loads(trained.stdout)['trials'][0]['runs'][0]['name']}"
    machines()
    scores = json.loads(imagetune("evaluate", run, "--json").stdout)
    machines()
    assert load_run(run).evaluation == scores
    assert load_run(run).predictions["label"].size == scores["n"]
    assert imagetune("train", "winner", "--resume", "--out", f"{search}/winners").exit_code == 2
    assert imagetune("report", search, "--study", study).exit_code == 0
    assert {"report.html", "trials.parquet", "epochs.parquet", "search.yaml"} <= client.listing(search).keys()


def test_without_a_database_nothing_is_begun(bucket: str, space: Path, postgresql: Server) -> None:
    for words in ((str(space), "--out", bucket), (f"{bucket}/s", "--resume")):
        found = imagetune("search", *words)
        assert found.exit_code == 2
        assert "a search in S3 needs a database for its record" in found.stderr
        assert "--study" in found.stderr
    missing = imagetune("search", str(space), "--out", "s3://no-such-bucket/x", "--study", postgresql.new_database())
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)
    assert missing.stderr.startswith("s3://no-such-bucket: there is no such bucket; ")
    wrong = imagetune("search", str(space), "--out", "gs://bucket/x")
    assert wrong.exit_code == 2
    assert "not supported" in wrong.stderr
    assert client.listing(bucket) == {}


EPOCHS = "SELECT count(*) FROM trial_user_attributes WHERE key LIKE 'epoch:%'"


def _epochs(server: Server) -> int:
    tables = server.sql("SELECT 1 FROM pg_tables WHERE tablename = 'trial_user_attributes'", "tests1")
    return int(str(server.sql(EPOCHS, "tests1")[0][0])) if tables else 0


@pytest.fixture
def cluster(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster whose worker node has a mirror of its own."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    line = [sys.executable, "-m", "tests.tune.record.cluster_in_s3", str(tmp_path / "node")]
    with subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(text for text in process.stdout if text[:1].isdigit()).strip()
        yield address
        process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_killed_driver_is_replaced_on_another_machine(
    bucket: str,
    postgresql: Server,
    space: Path,
    local: SearchFolder,
    cluster: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three machines that share S3 and PostgreSQL: two drivers, one after the other, and a worker."""
    study = postgresql.new_database()
    place = ("--out", bucket, "--study", study)
    line = ("search", str(space), "--name", "s", "--address", cluster, *place)
    with Started(tmp_path / "first" / "s", TUNE, line, variables=_machine(tmp_path / "first")) as first:
        assert first.until(lambda: _epochs(postgresql) >= 6), first.said
        first.kill(signal.SIGKILL)
    second = Started(tmp_path / "second" / "s", TUNE, (*line, "--resume"), variables=_machine(tmp_path / "second"))
    with second:
        assert second.wait() == 0, second.said
    said = first.said + second.said
    assert f"resume it with: imagetune search {bucket}/s" not in second.said
    assert "AKIAOURKEY" not in said
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "third"))
    monkeypatch.setattr(mirror, "_later", {})
    rows = json.loads(imagetune("results", f"{bucket}/s", "--study", study, "--json").stdout)["trials"]
    found = load_search(f"{bucket}/s", study=study)
    assert [row["trial"] for row in rows] == list(found.trials["trial"])
    assert_same_tables(SearchFolder(folder_of(f"{bucket}/s")), local)
    assert not found.model(found.best()["trial"].iloc[0]).training


def _machine(cache: Path) -> dict[str, str]:
    cache.mkdir()
    return {"XDG_CACHE_HOME": str(cache)}
