"""What a person reads while a run trains, on the console and in train.log: lines of at most 80 columns."""

from __future__ import annotations

import textwrap
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

from data.words import counted, printable
from tune.files import publish
from tune.record.observer import Observer
from tune.spec.metric import METRICS, EpochMetrics, Metric
from tune.training import Training

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

WIDTH = 80

SHORT = {"accuracy": "", "loss": "", "reconstruction": "recon "}
"""Metric kinds that have a shorter name in a line, or need none."""


def opening(name: str, training: Training) -> list[str]:
    """What a run is about to train and on what, in lines.

    Args:
        name: Of the run.
        training: At its start, or where it continues.
    """
    splits, spec = training.splits, training.experiment
    parameters = sum(parameter.numel() for parameter in training.model.parameters())
    validation = 0 if splits.validation is None else len(splits.validation)
    threads = counted(training.threads, "thread")
    verb = f"resuming after epoch {len(training.history)}" if training.history else "training"
    text = (
        f"{name}: {verb}: {spec.model.name} ({parameters:,} parameters) on {spec.data.label} "
        f"({len(splits.train):,} training and {counted(validation, 'validation image')}), "
        f"{splits.train.device}, {threads}"
    )
    return wrapped(text)


def wrapped(text: str) -> list[str]:
    """A text in lines, the first of which is not indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def epoch_line(metrics: EpochMetrics, epochs: int, left: float | None = None) -> str:
    """One epoch in a line.

    For example `epoch 3/10  train 0.4120 87.10%  val 0.3880 88.00%  lr 0.001  2.1 s  left 0:15`. With more than two
    metrics, only the first is shown for the training images. A line that does not fit 80 columns loses the seconds
    first, then spaces.

    Args:
        metrics: Of the epoch.
        epochs: Of the whole training.
        left: Seconds to the end, if known.
    """
    parts = [f"epoch {metrics.epoch}/{epochs}"]
    for part in ("train", "val"):
        own = [(METRICS[name], value) for name, value in metrics.values.items() if METRICS[name].part == part]
        many = len(own) > 2
        shown = own[:1] if many and part == "train" else own
        texts = (_value(metric, value, 3 if many else 4) for metric, value in shown)
        parts += [" ".join([part, *texts])] if shown else []
    parts.append(f"lr {metrics.lr:.2g}")
    seconds = f"{metrics.seconds:.{0 if metrics.seconds >= 9.95 else 1}f} s"
    rest = [] if left is None else [f"left {_coarse(left)}"]
    whole, short = [*parts, seconds, *rest], [*parts, *rest]
    lines = ("  ".join(whole), "  ".join(short), " ".join(whole), " ".join(short))
    return next((line for line in lines if len(line) <= WIDTH), lines[-1])


def _value(metric: Metric, value: float, decimals: int) -> str:
    """A value below 1 with this many decimals, a larger one with four digits; accuracies in percent."""
    if metric.unit == "%":
        return f"{100 * value:.2f}%"
    if abs(value) >= 1:
        decimals = max(0, 4 - len(f"{abs(value):.0f}"))
    number = f"{value:.{decimals}f}" if abs(value) < 1e5 else f"{value:.1e}"
    return f"{SHORT.get(metric.kind, f'{metric.kind} ')}{number}"


def clock(seconds: float) -> str:
    """Seconds as on a clock: `0:15`, `12:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _coarse(seconds: float) -> str:
    """As on a clock, and from ten hours on in hours or days."""
    hours = round(seconds / 3600)
    if hours < 10:
        return clock(seconds)
    return f"{hours} h" if hours < 100 else f"{round(hours / 24)} days"


class Narrower:
    """What is drawn again and again, two columns narrower than the terminal.

    There a terminal shows `^C`. In a line of its own, that would shift what is drawn, and leave a part of it behind.
    """

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return console.render(self._content, options.update_width(options.max_width - len("^C")))


class RunLines(Observer):
    """Says what happens in a run, in lines."""

    def __init__(self) -> None:
        self._epochs, self._seconds = 0, list[float]()

    def training(self, name: str, training: Training, epochs: int) -> None:
        """Say what is about to be trained, and on what."""
        self._epochs, self._seconds = epochs, []
        for line in opening(name, training):
            self.say(line)

    def epoch(self, trial: int | None, metrics: EpochMetrics) -> None:
        """Say what the epoch gave, and how long the rest will take."""
        self._seconds.append(metrics.seconds)
        left = (self._epochs - metrics.epoch) * sum(self._seconds) / len(self._seconds)
        self.say(epoch_line(metrics, self._epochs, left))


class RunLog(RunLines):
    """Appends what happens in a run, with date and time, to a log file; a resumed run continues its file.

    Use as a context manager.

    Args:
        path: The log file, in an existing folder.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file: TextIO = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        with suppress(OSError):
            publish(self._path, self._path)

    def say(self, text: str) -> None:
        """Write one line."""
        self._file.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z}  {printable(text)}\n")
        self._file.flush()
