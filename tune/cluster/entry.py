"""The command of a job: `python -m tune.cluster.entry SPACE NAME [OPTIONS OF SEARCH]`.

It is safe to run twice, as Ray, Kubernetes and Slurm do after a node was lost: a search that exists is resumed. So is
one whose process crashes or is killed, such as for lack of memory: nobody sits beside a job to do it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from types import FrameType

from tune.buckets.parsing import folder_of
from tune.files import fetch
from tune.record.folder import SearchFolder
from tune.record.storage.url import study_url

WAIT = 0.1  # seconds between two looks at the search's process
RESUMED = 3  # times that a search is resumed after its process was killed


def command(space: str, name: str, options: list[str]) -> list[str]:
    """The command line that starts the search, or continues it."""
    values = {word: value for word, value in pairwise(options) if word.startswith("--")}
    path = folder_of(values["--out"]) / name
    fetch(path)
    folder = SearchFolder(path, study_url(values.get("--study")))
    resume = ["--resume"] if folder.exists else []
    return [sys.executable, "-m", "tune", "search", space, "--name", name, *options, *resume]


def run(line: Callable[[], list[str]]) -> int:
    """Run a command line, again if a signal ends it that was not sent to us too; its exit code as a shell gives it."""
    asked: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def passed_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if child is not None:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, passed_on)
    environment = os.environ | {"PYTHONFAULTHANDLER": "1"}  # a crash leaves in the job's log where it happened
    for again in range(RESUMED, -1, -1):
        child = subprocess.Popen(line(), env=environment)
        if asked:  # it came between two processes
            child.send_signal(asked[-1])
        # `wait` alone can miss a signal that comes just before it: the handler would run when the child has ended.
        while child.poll() is None:
            time.sleep(WAIT)
        code = child.wait()
        if code >= 0 or asked:
            break
        then = "it is resumed" if again else "submit it again to resume it"
        print(f"the search was killed by {signal.Signals(-code).name}; {then}", file=sys.stderr, flush=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(run(lambda: command(sys.argv[1], sys.argv[2], sys.argv[3:])))
