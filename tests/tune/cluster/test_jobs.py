"""A search as a job on a cluster of two nodes: submitted, followed, cancelled, submitted again, brought to its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="Ray's client for jobs is not installed: ray[default]")

# Two raylets, and minutes on a busy machine: run by hand, where Ray's client for jobs is installed.
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

SPACE = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 400}
space: {training.optimizer.lr: {float: [0.001, 0.1]}}
search: {metric: val_loss, trials: 4, scheduler: {name: none}, concurrent: 2}
"""


class Cluster:
    """A head and a second node, with a CPU each, and the commands that talk to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, dashboard = folder, free_port(), free_port()
        self.url = f"http://127.0.0.1:{dashboard}"
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0" * 32,
            "RAY_API_SERVER_ADDRESS": self.url,
        }
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.nodes = [
            self.start("--head", f"--port={self.port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}")
        ]
        self.wait_for(dashboard)
        self.nodes.append(self.start(f"--address=127.0.0.1:{self.port}"))

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        # A folder each: both unpack what travels with a job there, the second over the first.
        temp = tempfile.mkdtemp(prefix="r", dir="/tmp")
        line = ["ray", "start", *options, "--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats"]
        line += ["--block", f"--temp-dir={temp}"]
        with (self.folder / f"node{temp[-6:]}.log").open("wb") as log:
            return subprocess.Popen(line, env=self.environment, stdout=log, stderr=log)

    def wait_for(self, port: int) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.5)
        raise TimeoutError("the dashboard did not start")

    def run(self, *words: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "tune", *words], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.send_signal(signal.SIGTERM)
        for node in self.nodes:
            node.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made
    finally:
        made.stop()


def status(cluster: Cluster, job: str) -> str:
    (found,) = (one for one in json.loads(cluster.run("jobs", "--json"))["jobs"] if one["id"] == job)
    return str(found["status"])


def trials(cluster: Cluster, out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.run("status", "own", "--out", str(out), "--json"))
    return found


def test_a_job_is_cancelled_and_submitted_again(cluster: Cluster, tmp_path: Path) -> None:
    space, out = tmp_path / "own.yaml", tmp_path / "out"
    space.write_text(SPACE)
    words = ("submit", str(space), "--out", str(out), "--json")
    job = json.loads(cluster.run(*words))["job"]
    deadline = time.monotonic() + 120
    while not list(out.glob("own/trial_*/*")):
        assert time.monotonic() < deadline, cluster.run("logs", job)
        time.sleep(1)
    assert json.loads(cluster.run("cancel", job, "--json"))["cancelled"]
    while status(cluster, job) == "running":
        assert time.monotonic() < deadline
        time.sleep(1)
    assert status(cluster, job) == "stopped"
    stopped = trials(cluster, out)
    assert stopped["status"] == "interrupted"

    again = json.loads(cluster.run(*words, "training.epochs=400"))["job"]
    log = cluster.run("logs", again, "-f")
    assert "trained: 1,600 epochs" in log
    assert status(cluster, again) == "succeeded"
    finished = trials(cluster, out)
    assert finished["counts"]["completed"] == 4


def test_a_job_that_is_not_there(cluster: Cluster) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tune", "logs", "nothing"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "has no job nothing" in done.stderr


def test_a_client_without_the_token(cluster: Cluster) -> None:
    environment = {**cluster.environment, "RAY_AUTH_TOKEN": "1" * 32}
    done = subprocess.run(
        [sys.executable, "-m", "tune", "jobs"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "asks for a token" in done.stderr
