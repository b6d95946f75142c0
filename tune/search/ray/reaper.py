"""End what a search's own Ray leaves running: a process beside the driver, which outlives it by a moment.

Ray's server and node end with the driver, but the node's agents continue for a minute if nobody shuts them down: after
`kill -9`, or an interruption in the middle of Ray's start. All of Ray's processes have files open in their temporary
folder, which is ours alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEEP = b"keep"
WAITING = 3.0  # seconds for the process to do its work at the end of a search


class Reaper:
    """`keep`: whether the folder stays, for its logs."""

    keep = False


@contextmanager
def reaped(folder: str) -> Iterator[Reaper]:
    """After the block, and also when this process is killed in it, no process uses the folder, and it is gone."""
    command = [sys.executable, "-I", "-S", __file__, folder]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    reaper = Reaper()
    try:
        yield reaper
    finally:
        with suppress(subprocess.TimeoutExpired):  # it continues without us
            process.communicate(KEEP if reaper.keep else b"", WAITING)


def _reap(folder: Path) -> None:
    driver = os.getppid()
    keep = sys.stdin.buffer.read() == KEEP  # until the driver closes the pipe, or the kernel does
    for _ in range(10):
        using = set(_using(folder)) - {driver}
        for process in using:
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                continue
        if not using:
            break
        time.sleep(0.1)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def _using(folder: Path) -> Iterator[int]:
    """Processes that have files of the folder open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(file).startswith(f"{folder}/") for file in (process / "fd").iterdir()):
                yield int(process.name)
        except OSError:
            continue  # it has just ended, or is another user's


if __name__ == "__main__":
    _reap(Path(sys.argv[1]).resolve())
