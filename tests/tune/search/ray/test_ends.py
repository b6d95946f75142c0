"""Real searches in processes of their own that end before their end: what they say, and what they leave running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tune.search.faults.kills import LINGERING
from tests.tune.search.processes import Started, start
from tune.errors import UserError
from tune.search.ray.address import find_cluster
from tune.search.ray.cluster import LONGEST, SHORT, new_folder

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]
LONG = ("search.concurrent=1", "training.epochs=400", "search.scheduler.name=none", "search.trials=2")


def nothing_left(search: Started, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while members := search.members():
        if time.monotonic() > deadline:
            pytest.fail(f"still running: {members}")
        time.sleep(0.1)
    return True


MOMENTS = {"imports": signal.SIGINT, "start of Ray": signal.SIGTERM, "first worker": signal.SIGHUP}
"""Of each moment, the signal that every run of the tests sends; the others are slow."""


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param(moment, number, marks=[] if number is own else pytest.mark.slow)
        for moment, own in MOMENTS.items()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ],
)
def test_a_signal_during_the_start_is_answered_and_nothing_runs_on(
    tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    moments: dict[str, Callable[[Started], bool]] = {
        "imports": lambda search: b"pydantic_core" in Path(f"/proc/{search.process.pid}/maps").read_bytes(),
        "start of Ray": lambda search: bool(search.members("gcs_server")),
        "first worker": lambda search: "trial 0" in search.said,
    }
    with start(tmp_path, "s", *LONG) as search:
        assert search.until(lambda: moments[moment](search))
        began = time.monotonic()
        search.kill(number, group=False)
        assert search.wait(20) == 130
        assert time.monotonic() - began < 8  # 5 on a quiet machine
        assert nothing_left(search, 3)
        assert "interrupted" in search.said
        assert "Traceback" not in search.said


def test_nothing_of_ray_outlives_a_killed_driver(tmp_path: Path) -> None:
    with start(tmp_path, "s", *LONG) as search:
        assert search.until_trained()
        assert search.members("gcs_server")
        search.kill(signal.SIGKILL, group=False)
        search.wait(10)
        assert nothing_left(search, 5)


@pytest.mark.parametrize("part", ["raylet/raylet", pytest.param("gcs_server", marks=pytest.mark.slow)])
def test_a_ray_that_dies_ends_the_search_with_a_line(tmp_path: Path, part: str) -> None:
    with start(tmp_path, "s", *LONG) as search:
        assert search.until_trained()
        began = time.monotonic()
        os.kill(search.members(part)[0], signal.SIGKILL)
        assert search.wait(60) == 1
        assert time.monotonic() - began < 15
        assert nothing_left(search, 5)
        assert "is gone" in search.said
        assert "--resume" in search.said
        assert "core_worker" not in search.said  # no line of Ray's C++ code


def test_stdout_is_one_json_document_whatever_dies(tmp_path: Path) -> None:
    settings = ("search.concurrent=1", "search.scheduler.name=none", "training.epochs=3", "search.trials=1")
    document = tmp_path / "out.json"
    with start(tmp_path, "s", *settings, module=LINGERING, document=document) as search:
        assert search.until_trained()
        os.kill(search.workers[0], signal.SIGKILL)
        assert search.wait(150) == 0
    assert json.loads(document.read_bytes())["counts"]["completed"] == 1
    assert "raylet)" not in search.said
    assert "\x1b" not in search.said  # nothing coloured


ONE_TRIAL = ("search.concurrent=1", "training.epochs=2", "search.trials=1")


@pytest.mark.parametrize(
    "variables",
    [{"HOME": "/dev/null/x", "TMPDIR": "{long}"}, pytest.param({"RAY_TMPDIR": "{long}"}, marks=pytest.mark.slow)],
)
def test_surroundings_that_are_good_enough(tmp_path: Path, variables: dict[str, str]) -> None:
    """Modules of the user's in the working folder, which reach no worker; folders that cannot be used."""
    for name in ("models", "data", "torch", "ray", "pandas", "search_spaces"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the user was imported')")
    long = tmp_path / ("x" * 100)
    long.mkdir()
    variables = {name: value.format(long=long) for name, value in variables.items()}
    with start(tmp_path, "s", *ONE_TRIAL, variables=variables) as search:
        assert search.wait(120) == 0, search.said
    assert not [path for path in long.iterdir() if "torch" not in path.name]  # nothing of Ray's or ours is left


@pytest.mark.parametrize(
    ("words", "variables", "named"),
    [((), {"RAY_TMPDIR": "/dev/null/x"}, "RAY_TMPDIR"), (("--address", "127.0.0.1:1"), {}, "127.0.0.1:1")],
)
def test_surroundings_that_are_not_are_named(
    tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], named: str
) -> None:
    with start(tmp_path, "s", *ONE_TRIAL, *words, variables=variables) as search:
        assert search.wait(120) == 2, search.said
    (line,) = search.said.splitlines()
    assert named in line
    assert not search.folder.exists()


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "http://x", "127.0.0.1", "nothing", "a:b"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="HOST:PORT"):
        find_cluster(address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nohost.invalid:6379", "auto"])
def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    if address == "auto":  # other tests' clusters run on this machine
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    began = time.monotonic()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1" if address == "auto" else address)
    with pytest.raises(UserError, match=address):
        find_cluster(None if address != "auto" else address)
    assert time.monotonic() - began < 20


def test_something_else_at_the_address_is_named() -> None:
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    try:
        port = server.stdout.readline().split()[5]
        began = time.monotonic()
        with pytest.raises(UserError, match=port):
            find_cluster(f"127.0.0.1:{port}")
        assert time.monotonic() - began < 20
    finally:
        server.kill()
        server.communicate()


def test_rays_folder_is_where_the_user_says_if_its_sockets_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/dev/shm")
    inside = Path(new_folder())
    inside.rmdir()
    assert inside.parent == Path("/dev/shm")
    long = tmp_path / ("x" * LONGEST)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    short = Path(new_folder())
    short.rmdir()
    assert short.parent == SHORT
