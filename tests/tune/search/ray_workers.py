"""Workers for searches on a real Ray without training: tabulated curves, and the ways in which workers go wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.tune.search.simulation import falling, metrics
from tune.search.attempt import Assignment, Job, Report, Steps
from tune.search.ray.adapters import TrialWorker


class Tabulated:
    """Falling losses. Leaves a line per step in the search's folder: trial, epoch, process, GPU."""

    def __init__(self, job: Job, assignment: Assignment) -> None:
        self.folder, self.assignment = Path(job.folder), assignment
        self.file = self.folder / f"fake-{assignment.trial}"
        self.epochs = int(self.file.read_text()) if self.file.is_file() else 0
        self.resumed = self.epochs > 0

    def step(self) -> Report:
        """An epoch; after a resume first those of before."""
        trial, config = self.assignment.trial, self.assignment.config
        if self.resumed:
            self.resumed = False
            past = [falling(trial, config, epoch) for epoch in range(1, self.epochs + 1)]
            return Report(tuple(report.epochs[0] for report in past), past[-1].end)
        self.epochs += 1
        self.file.write_text(str(self.epochs))
        with (self.folder / "steps.log").open("a") as log:
            gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            log.write(f"{trial} {self.epochs} {os.getpid()} {gpu or '-'} {time.time()}\n")
        return self.work(trial, self.epochs)

    def work(self, trial: int, epoch: int) -> Report:
        """What happens in an epoch."""
        return falling(trial, self.assignment.config, epoch)

    def once(self, name: str) -> bool:
        """True the first time it is asked in this search."""
        try:
            (self.folder / f"once-{name}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class Crashing(Tabulated):
    """The process of trial 2 dies in its third epoch, the first time; that of trial 4 always."""

    def work(self, trial: int, epoch: int) -> Report:
        """Die, or work."""
        if (trial, epoch) == (2, 2) and self.once("crash"):
            os._exit(1)
        if trial == 4:
            os._exit(1)
        return Report((metrics(epoch, 1.0 / epoch),), "epochs" if epoch == 3 else None)


class Hanging(Tabulated):
    """Trial 1 hangs in its second epoch."""

    def work(self, trial: int, epoch: int) -> Report:
        """Sleep for a day, or work."""
        if (trial, epoch) == (1, 2):
            time.sleep(86_400)
        return super().work(trial, epoch)


class Slow(Tabulated):
    """Epochs of a tenth of a second."""

    def work(self, trial: int, epoch: int) -> Report:
        """Take some time."""
        time.sleep(0.1)
        return super().work(trial, epoch)


class Together(Tabulated):
    """Waits, for up to a minute, until four processes work at once."""

    def work(self, trial: int, epoch: int) -> Report:
        """Wait for the others, then work."""
        (self.folder / f"process-{os.getpid()}").touch()
        patience = time.monotonic() + 60
        while len(list(self.folder.glob("process-*"))) < 4 and time.monotonic() < patience:
            time.sleep(0.05)
        return super().work(trial, epoch)


class TabulatedWorker(TrialWorker):
    """Runs `steps` instead of a training."""

    steps: type[Tabulated] = Tabulated

    def attempt(self, job: Job, assignment: Assignment) -> Steps:
        """The fake in the attempt's place."""
        return self.steps(job, assignment)


class CrashingWorker(TabulatedWorker):
    """See `Crashing`."""

    steps = Crashing


class HangingWorker(TabulatedWorker):
    """See `Hanging`."""

    steps = Hanging


class TogetherWorker(TabulatedWorker):
    """See `Together`."""

    steps = Together


class SlowWorker(TabulatedWorker):
    """See `Slow`."""

    steps = Slow
