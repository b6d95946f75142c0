"""Passwords and keys of this machine are in nothing that a search writes, prints or starts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.cluster.own_space import OWN
from tests.tune.search.processes import Started
from tune.cluster.manifests import TEMPLATES
from tune.cluster.package import working_dir

SECRET = "hunter2-7c1e9b"
VARIABLES = (
    "IMAGETUNE_STUDY_PASSWORD", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN",
    "MLFLOW_TRACKING_PASSWORD", "WANDB_API_KEY", "HF_TOKEN", "HTTPS_PROXY", "MY_OWN_TOKEN",
)  # fmt: skip
FILES = (".aws/credentials", ".aws/config", ".pgpass", ".netrc", ".ray/auth_token", ".kube/config")
URLS = (
    f"postgresql://me:{SECRET}@127.0.0.1/searches",
    f"postgresql+psycopg://me:{SECRET}@127.0.0.1/searches",
    f"postgresql://me@127.0.0.1/searches?password={SECRET}",
    f"postgresql://127.0.0.1/searches?user=me&sslpassword={SECRET}",
    f"mysql://me:{SECRET}@127.0.0.1/searches",
)


def environment(home: Path) -> dict[str, str]:
    for name in FILES:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"secret = {SECRET}\n")
    values = dict.fromkeys(VARIABLES, SECRET)
    return {**values, "HTTPS_PROXY": f"http://me:{SECRET}@127.0.0.1:1", "HOME": str(home)}


def leaks(folder: Path) -> list[str]:
    """Files that contain the secret."""
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # Ray's come and go
            if path.is_file() and SECRET.encode() in path.read_bytes():
                found.append(str(path))
    return found


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a search was run with secrets all around it. What it started is looked at meanwhile."""
    place, temp = tmp_path_factory.mktemp("searched"), Path(tempfile.mkdtemp(prefix="s", dir="/tmp"))
    (place / "own.yaml").write_text(OWN)
    variables = {**environment(tmp_path_factory.mktemp("home")), "RAY_TMPDIR": str(temp)}
    try:
        with Started(
            place / "own",
            ("tune",),
            ("search", "own.yaml", "--out", str(place)),
            place / "said.txt",
            variables=variables,
        ) as search:
            assert search.until_trained(), search.said
            assert search.workers
            assert len(search.members()) > 4
            assert search.members(SECRET) == []  # in a command line
            assert len(list(temp.rglob("*.log"))) > 3
            # Ray's agent logs the environment that it was started with, in a folder that only its user can read.
            assert {Path(path).name for path in leaks(temp)} <= {"runtime_env_agent.log"}
            assert [folder.stat().st_mode & 0o77 for folder in temp.glob("ray-*")] == [0]
            assert search.wait() == 0, search.said
        yield place
    finally:
        shutil.rmtree(temp, ignore_errors=True)


@pytest.mark.ray
@pytest.mark.slow  # a whole search of its own
@pytest.mark.timeout(240)
def test_no_command_writes_or_prints_a_secret(
    searched: Path, imagetune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    out = ("--out", searched)
    said = []
    for words in [
        ("status", "own"), ("status", "own", "--json"), ("results", "own", "--csv", searched / "table.csv"),
        ("results", "own", "--json"), ("retrain", "own"), ("report", "own"), ("compare", "own/winners/*"),
    ]:  # fmt: skip
        expanded = [each for word in words for each in (searched.glob(str(word)) if "*" in str(word) else [word])]
        said.append(imagetune(*expanded, *out))
    winner = next(searched.glob("own/winners/*"))
    said += [imagetune("evaluate", winner), imagetune("export", winner, "--format", "torch")]
    space = searched / "own.yaml"
    printed = [
        imagetune("submit", space, *out, "--study", "postgresql://me@db/x", "--print", kind) for kind in TEMPLATES
    ]
    assert [each.code for each in (*said, *printed)] == [0] * 13
    assert not [each for each in (*said, *printed) if SECRET in each.out + each.err]
    written = {path.name for path in searched.rglob("*") if path.is_file()}
    assert {"search.yaml", "study.journal", "trials.parquet", "report.html", "table.csv", "said.txt"} <= written
    assert {"experiment.yaml", "model.safetensors", "last.pt", "evaluation.json", "model.pt2", "README.md"} <= written
    assert leaks(searched) == []
    with working_dir(space) as travels:
        assert leaks(travels) == []


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "words", [("search", "digits"), ("submit", "digits", "--out", "/shared"), ("status", "digits")]
)
def test_a_url_with_a_password_is_refused_unseen(
    imagetune: Command, tmp_path: Path, words: tuple[str, ...], url: str
) -> None:
    found = imagetune(*words, "--study", url)
    assert (found.code, found.out) == (2, "")
    assert "--study contains a password" in found.err
    assert SECRET not in found.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address", [f"http://me:{SECRET}@127.0.0.1:1", f"ray://me:{SECRET}@127.0.0.1:1", f"http://:{SECRET}@x"]
)
def test_an_address_with_a_password_is_refused_unseen(
    imagetune: Command, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for command in (("search", "digits"), ("jobs",), ("logs", "x"), ("cancel", "x")):
        found = imagetune(*command, "--address", address)
        assert found.code == 2
        assert "must be the" in found.err
        assert SECRET not in found.err
    monkeypatch.setenv("RAY_ADDRESS", address)
    found = imagetune("search", "digits")
    assert (found.code, SECRET in found.err) == (2, False)
    assert os.environ["RAY_ADDRESS"] == address
