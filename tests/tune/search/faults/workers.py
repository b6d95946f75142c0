"""Workers that train as the real ones do, until something goes wrong, most in trial 1."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch

from tune.search.ray.trial_worker import TrialWorker
from tune.search.worker.attempt import Attempt
from tune.search.worker.messages import Assignment, Job, Report, Steps

BAD = 1  # the trial in which it goes wrong
MARGIN = 768 * 2**20  # bytes of address space that a starved worker has beyond those of its start


def worker(kind: Callable[[Job, Assignment], Steps]) -> type[TrialWorker]:
    """A worker that runs these attempts instead of the real ones."""

    class TestWorker(TrialWorker):
        def attempt(self, job: Job, assignment: Assignment) -> Steps:
            return kind(job, assignment)

    return TestWorker


class Faulty(Attempt):
    """Runs `fault` before each step."""

    def _step(self) -> Report:
        self.fault()
        return super()._step()

    def fault(self) -> None:
        """What goes wrong."""


class Buggy(Faulty):
    """A bug that one trial has."""

    def fault(self) -> None:
        if self._assignment.trial == BAD:
            raise KeyError("a bug of the trial")


class Broken(Faulty):
    """A bug that every trial has."""

    def fault(self) -> None:
        raise KeyError("a bug of every trial")


class Sleepy(Faulty):
    """Hangs in its second epoch."""

    def fault(self) -> None:
        if self._assignment.trial == BAD and self._training is not None:
            time.sleep(86_400)


class Hungry(Faulty):
    """Takes more memory than the host's limit, and keeps it."""

    def fault(self) -> None:
        if self._assignment.trial == BAD:
            blocks = []
            for _ in range(60):
                blocks.append(torch.ones(2**26, dtype=torch.float32))  # .25 GiB, touched
                time.sleep(0.1)
            time.sleep(30)


class Lingering(Faulty):
    """Slow: .3 seconds before each epoch, so that there is time to do something to it."""

    def fault(self) -> None:
        time.sleep(0.3)


def starved(job: Job, assignment: Assignment) -> Steps:
    """Trains under a limit on its process's address space: a model beyond it cannot be built."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MARGIN
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return Attempt(job, assignment)


WORKERS: dict[str, type[TrialWorker]] = {
    "buggy": worker(Buggy),
    "broken": worker(Broken),
    "sleepy": worker(Sleepy),
    "hungry": worker(Hungry),
    "lingering": worker(Lingering),
    "starved": worker(starved),
}
