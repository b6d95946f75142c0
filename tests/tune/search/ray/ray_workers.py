"""Workers for searches on a real Ray without training: tabulated curves, and the ways in which workers go wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.tune.search.faults.workers import worker
from tests.tune.search.simulation import falling, metrics
from tune.search.worker.messages import Assignment, Job, Report


class Tabulated:
    """Falling losses. Writes a line per step into the search's folder: trial, epoch, process, GPU, time."""

    def __init__(self, job: Job, assignment: Assignment) -> None:
        self.folder, self.assignment = Path(job.folder), assignment
        self.last = job.base["training"]["epochs"]
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
    """The process of trial 2 dies in its second epoch, the first time; that of trial 4 always."""

    def work(self, trial: int, epoch: int) -> Report:
        if trial == 4 or ((trial, epoch) == (2, 2) and self.once("crash")):
            os._exit(1)
        return Report((metrics(epoch, 1.0 / epoch),), "epochs" if epoch == 3 else None)


class Spoiling(Tabulated):
    """Trial 1 spoils its process in its second epoch, the first time."""

    def work(self, trial: int, epoch: int) -> Report:
        if (trial, epoch) == (1, 2) and self.once("spoil"):
            return Report(end="failed", reason="CUDA error: an illegal memory access was encountered", retire=True)
        return super().work(trial, epoch)


class Hanging(Tabulated):
    """Trial 1 hangs in its second epoch."""

    def work(self, trial: int, epoch: int) -> Report:
        if (trial, epoch) == (1, 2):
            time.sleep(86_400)
        return super().work(trial, epoch)


class Slow(Tabulated):
    """Epochs of a tenth of a second, as many as the experiment has."""

    def work(self, trial: int, epoch: int) -> Report:
        time.sleep(0.1)
        return Report(super().work(trial, epoch).epochs, "epochs" if epoch == self.last else None)


class Together(Tabulated):
    """Waits, for up to a minute, until four processes work at once."""

    def work(self, trial: int, epoch: int) -> Report:
        (self.folder / f"process-{os.getpid()}").touch()
        patience = time.monotonic() + 60
        while len(list(self.folder.glob("process-*"))) < 4 and time.monotonic() < patience:
            time.sleep(0.05)
        return super().work(trial, epoch)


TabulatedWorker, CrashingWorker, SpoilingWorker, HangingWorker, SlowWorker, TogetherWorker = (
    worker(kind) for kind in (Tabulated, Crashing, Spoiling, Hanging, Slow, Together)
)
