"""Workers that train as the real ones do, until something set goes wrong in trial 1."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import torch

from tune.search.attempt import Assignment, Attempt, Job, Report, Steps
from tune.search.ray.adapters import TrialWorker

BAD = 1  # the trial in which it goes wrong
MARGIN = 768 * 2**20  # bytes of address space that a starved worker has beyond those of its start


class Buggy(Attempt):
    """A bug that this trial alone meets."""

    def _step(self) -> Report:
        if self._assignment.trial == BAD:
            raise KeyError("a bug of the trial")
        return super()._step()


class Broken(Attempt):
    """A bug that every trial meets."""

    def _step(self) -> Report:
        raise KeyError("a bug of every trial")


class Sleepy(Attempt):
    """Hangs in its second epoch."""

    def _step(self) -> Report:
        if self._assignment.trial == BAD and self._training is not None:
            time.sleep(86_400)
        return super()._step()


class Hungry(Attempt):
    """Takes more memory than the host's limit, and keeps it."""

    def _step(self) -> Report:
        if self._assignment.trial == BAD:
            blocks = []
            for _ in range(60):
                blocks.append(torch.ones(2**26, dtype=torch.float32))  # .25 GiB, touched
                time.sleep(0.1)
            time.sleep(30)
        return super()._step()


class Lingering(Attempt):
    """Slow: .3 seconds before each epoch, so that there is time to do something to it."""

    def _step(self) -> Report:
        time.sleep(0.3)
        return super()._step()


class BuggyWorker(TrialWorker):
    """See `Buggy`."""

    kind: type[Attempt] = Buggy

    def attempt(self, job: Job, assignment: Assignment) -> Steps:
        """The faulty one in the real one's place."""
        return self.kind(job, assignment)


class BrokenWorker(BuggyWorker):
    """See `Broken`."""

    kind = Broken


class SleepyWorker(BuggyWorker):
    """See `Sleepy`."""

    kind = Sleepy


class HungryWorker(BuggyWorker):
    """See `Hungry`."""

    kind = Hungry


class LingeringWorker(BuggyWorker):
    """See `Lingering`."""

    kind = Lingering


class StarvedWorker(TrialWorker):
    """Trains under a limit on its address space: a model beyond it cannot be built."""

    def attempt(self, job: Job, assignment: Assignment) -> Steps:
        """Limited once, at the process's first attempt."""
        if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + MARGIN
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return super().attempt(job, assignment)


WORKERS: dict[str, type[TrialWorker]] = {
    "buggy": BuggyWorker,
    "broken": BrokenWorker,
    "sleepy": SleepyWorker,
    "hungry": HungryWorker,
    "lingering": LingeringWorker,
    "starved": StarvedWorker,
}
