"""A training as a person watches it: a bar per epoch on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch.optim.optimizer import register_optimizer_step_post_hook

from tune.runs.console import clock
from tune.training import Training
from tune.training.splits import steps_per_epoch


class Screen:
    """Tells on stderr, so that stdout is free for the result."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """A line, above the bar if there is one."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def watch(self, training: Training, epochs: int) -> Iterator[None]:
        """Show a bar for the epoch that runs, on a terminal; the epochs that are over have their lines above it."""
        if not self._console.is_terminal:
            yield
            return
        columns = (
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}  lr {task.fields[lr]:.1e}  {task.fields[times]}"),
        )
        with Progress(*columns, console=self._console, transient=True, expand=True) as progress:
            hook = register_optimizer_step_post_hook(_Bar(progress, training, epochs))
            try:
                yield
            finally:
                hook.remove()


class _Bar:
    """Moves the bar after every step of the optimizer; the training itself knows nothing of it."""

    def __init__(self, progress: Progress, training: Training, epochs: int) -> None:
        self._progress, self._training, self._epochs = progress, training, epochs
        self._steps = steps_per_epoch(len(training.splits.train), training.experiment.training.batch_size)
        self._before = len(training.history)
        self._started = time.monotonic()
        self._epoch, self._done = 0, 0
        self._task = progress.add_task("", total=self._steps, epoch=self._before + 1, epochs=epochs, lr=0.0, times="")

    def __call__(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        epoch = len(self._training.history) + 1
        self._done = self._done + 1 if epoch == self._epoch else 1
        self._epoch = epoch
        self._progress.update(
            self._task, completed=self._done, epoch=epoch, lr=optimizer.param_groups[0]["lr"], times=self._times()
        )

    def _times(self) -> str:
        """Elapsed and estimated time, as on a clock."""
        elapsed = time.monotonic() - self._started
        trained = self._epoch - 1 - self._before + self._done / self._steps  # epochs of this session
        left = elapsed / trained * (self._epochs - self._before - trained)
        return f"{clock(elapsed)}  left {clock(left)}"
