"""The life of a job on a cluster of two nodes: `python -m tests.tune.cluster.job_life FOLDER`.

Submitted, cancelled once it trains, submitted again, followed to its end; all commands in this process, since each would
take seconds to start. What has come of it is printed as one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tune.cli.main import app

SPACE = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 200}
space: {training.optimizer.lr: {float: [0.001, 0.1]}}
search: {metric: val_loss, trials: 1000, scheduler: {name: none}}
"""
"""It would run for long. Submitted again with `search.trials=1`, it ends with what was begun."""
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32}


class Cluster:
    """A head and a second node, with a CPU each, and a folder each for what travels with a job."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.metrics, port, dashboard = folder, free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{dashboard}"
        self.nodes = [
            self.start(
                "--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--metrics-export-port={self.metrics}"
            )
        ]
        waited(lambda: listens(port))
        self.nodes.append(self.start(f"--address=127.0.0.1:{port}"))
        waited(lambda: listens(dashboard))

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        temp = tempfile.mkdtemp(prefix="r", dir="/tmp")
        line = [f"{Path(sys.executable).parent}/ray", "start", *options, "--num-cpus=1", "--disable-usage-stats"]
        line += ["--object-store-memory=80000000", "--block", f"--temp-dir={temp}"]
        line += [f"--dashboard-agent-listen-port={free_port()}"]  # that of the first node is not free for the second
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "RAY_metrics_report_interval_ms": "1000"}
        with (self.folder / f"node{temp[-6:]}.log").open("wb") as log:
            return subprocess.Popen(line, env=environment, stdout=log, stderr=log)

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


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def waited(condition: Callable[[], Any], seconds: float = 90) -> Any:
    """Wait until something holds; what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, condition
        time.sleep(0.2)
    return found


def imagetune(*words: str) -> Any:
    """What a command prints, as JSON."""
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def state(job: str) -> str:
    (found,) = (one for one in imagetune("jobs")["jobs"] if one["id"] == job)
    return str(found["status"])


def exported(port: int) -> list[str]:
    """The figures of searches at the Prometheus endpoint of the head, on which they run; none before there is a best."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        lines = [line.decode() for line in page if line.startswith(b"ray_imagetune")]
        return lines if any("imagetune_best" in line for line in lines) else []
    return []


def main() -> None:
    """See above."""
    folder = Path(sys.argv[1])
    space, out = folder / "own.yaml", folder / "out"
    space.write_text(SPACE)
    cluster = Cluster(folder)
    os.environ["RAY_API_SERVER_ADDRESS"] = cluster.url
    submit = ("submit", str(space), "--out", str(out))
    status = ("status", "own", "--out", str(out))
    try:
        job = waited(lambda: _submitted(submit))
        figures = waited(lambda: exported(cluster.metrics))
        running, cancelled = state(job), imagetune("cancel", job)["cancelled"]
        waited(lambda: state(job) != "running")
        stopped, interrupted = state(job), imagetune(*status)["status"]
        again = imagetune(*submit, "search.trials=1")["job"]
        log = imagetune("logs", again, "-f")["log"]
        ended, finished = state(again), imagetune(*status)
        missing = CliRunner().invoke(app, ["logs", "nothing"])
        stranger = subprocess.run(
            [sys.executable, "-m", "tune", "jobs"],
            env={**os.environ, "RAY_AUTH_TOKEN": "1" * 32},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        cluster.stop()
    print(
        json.dumps(
            {
                "states": [running, stopped, ended],
                "cancelled": cancelled,
                "interrupted": interrupted,
                "figures": figures,
                "log": log,
                "finished": finished,
                "missing": [missing.exit_code, missing.stderr],
                "stranger": [stranger.returncode, stranger.stderr],
            }
        )
    )


def _submitted(words: tuple[str, ...]) -> str:
    """The id of the job; empty while the cluster's dashboard is still starting."""
    done = CliRunner().invoke(app, [*words, "--json"])
    return str(json.loads(done.stdout)["job"]) if done.exit_code == 0 else ""


if __name__ == "__main__":
    main()
