"""A job's command: what it does when the search's process is killed, and when the job is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tune.cluster.entry import RESUMED

RUN = "from tune.cluster.entry import run; import sys; sys.exit(run(lambda: [sys.executable, '-c', sys.argv[1]]))"
COUNTED = "import os, sys, signal, time; open('runs', 'a').write('x'); runs = len(open('runs').read()); "


def entry(code: str, folder: Path) -> subprocess.Popen[str]:
    """The command of a job whose search is this code."""
    line = [sys.executable, "-c", RUN, COUNTED + code]
    return subprocess.Popen(line, cwd=folder, stderr=subprocess.PIPE, text=True)


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_search_that_is_killed_is_resumed(number: signal.Signals, tmp_path: Path) -> None:
    process = entry(f"runs == 1 and os.kill(os.getpid(), {int(number)})", tmp_path)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert f"the search was killed by {number.name}; it is resumed" in said
    assert runs(tmp_path) == 2


def test_not_for_ever(tmp_path: Path) -> None:
    process = entry("os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGKILL
    assert runs(tmp_path) == 1 + RESUMED
    assert said.splitlines()[-1].endswith("submit it again to resume it")


def test_a_search_that_fails_is_not_run_again(tmp_path: Path) -> None:
    process = entry("sys.exit(2)", tmp_path)
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert runs(tmp_path) == 1


def test_a_job_that_is_stopped_before_its_search_starts(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from tune.cluster.entry import run

def line():
    os.kill(os.getpid(), signal.SIGTERM)
    return [sys.executable, "-c", "import time; time.sleep(60)"]

sys.exit(run(line))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=30, check=False)
    assert done.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("both", [False, True])
def test_a_job_that_is_stopped_stops_its_search(both: bool, tmp_path: Path) -> None:
    """Ray sends the signal to both processes, others to the job's alone."""
    # `sys.exit` would leave a moment in which Python has no handler any more, and the second signal ends it with 143.
    ending = "signal.signal(signal.SIGTERM, lambda *_: os._exit(130)); print(os.getpid(), file=sys.stderr, flush=True)"
    process = entry(f"{ending}\nfor _ in range(600): time.sleep(0.1)", tmp_path)  # one long sleep can miss the signal
    assert process.stderr is not None
    child = int(process.stderr.readline())
    process.send_signal(signal.SIGTERM)
    if both:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert runs(tmp_path) == 1
