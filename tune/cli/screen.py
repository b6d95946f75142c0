"""A single training in the terminal: a line per epoch, and a bar for the epoch that runs; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn

from data.words import printable
from tune.record.status import Status
from tune.runs.console import Narrower, RunLines, clock
from tune.spec.metric import EpochMetrics
from tune.training import Training

_COLUMNS = (
    TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
    BarColumn(None),
    TextColumn("{task.completed:.0f}/{task.total:.0f}  lr {task.fields[lr]:.1e}  {task.fields[times]}"),
)


class Screen(RunLines):
    """Prints lines on stderr, so that stdout is free for the result; on a terminal, also shows a bar below them."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._bar: _Bar | None = None

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._console.print(printable(text), markup=False, soft_wrap=True)

    def training(self, name: str, training: Training, epochs: int) -> None:
        """Say what is trained, and show the bar."""
        super().training(name, training, epochs)
        if self._console.is_terminal:
            self._bar = _Bar(self._console, len(training.history), epochs)

    def step(self, step: int, steps: int, lr: float) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.step(step, steps, lr)

    def epoch(self, trial: int | None, metrics: EpochMetrics) -> None:
        """Say what the epoch gave."""
        super().epoch(trial, metrics)
        if self._bar is not None:
            self._bar.epochs_done = metrics.epoch

    def ended(self, trial: int | None, status: Status, reason: str) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.progress.stop()
            self._bar = None


class _Progress(Progress):
    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars."""
        yield Narrower(self.make_tasks_table(self.tasks))


class _Bar:
    """The epoch that runs, with the time since the start and the time left."""

    def __init__(self, console: Console, epochs_before: int, epochs: int) -> None:
        self.progress = _Progress(*_COLUMNS, console=console, transient=True, expand=True)
        self.epochs_done = self._before = epochs_before
        self._epochs, self._started = epochs, time.monotonic()
        self._task = self.progress.add_task("", total=1, epoch=epochs_before + 1, epochs=epochs, lr=0.0, times="")
        self.progress.start()

    def step(self, step: int, steps: int, lr: float) -> None:
        elapsed = time.monotonic() - self._started
        trained = self.epochs_done - self._before + step / steps  # epochs of this session
        left = elapsed / trained * (self._epochs - self._before - trained)
        times = f"{clock(elapsed)}  left {clock(left)}"
        self.progress.update(self._task, total=steps, completed=step, epoch=self.epochs_done + 1, lr=lr, times=times)
