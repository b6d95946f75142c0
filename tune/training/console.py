"""What a person sees of a training: a line per epoch, on the console and in train.log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self, TextIO

from tune.training.metrics import EpochMetrics


def epoch_line(metrics: EpochMetrics, epochs: int, left: float | None = None) -> str:
    """One epoch in words.

    For example `epoch 3/10  train 0.4120 87.10 %  val 0.3880 88.00 %  lr 1.0e-03  2.1 s  (left 0:15)`.

    Args:
        metrics: Of the epoch.
        epochs: Of the whole training.
        left: Seconds to the end, if known.
    """
    parts = [f"epoch {metrics.epoch}/{epochs}"]
    parts += [f"{part} {shown}" for part in ("train", "val") if (shown := _part(metrics, part))]
    parts += [f"lr {metrics.lr:.1e}", f"{metrics.seconds:.1f} s"]
    if left is not None:
        parts.append(f"(left {clock(left)})")
    return "  ".join(parts)


def _part(metrics: EpochMetrics, part: str) -> str:
    """The loss and accuracy bare, as everybody knows them; other metrics by name."""
    own = {
        name.removeprefix(f"{part}_"): value for name, value in metrics.values.items() if name.startswith(f"{part}_")
    }
    bare = {"loss": "{:.4f}", "accuracy": "{:.2%}"}
    shown = [bare.get(name, f"{name} {{:.3f}}").format(value).replace("%", " %") for name, value in own.items()]
    return " ".join(shown)


def clock(seconds: float) -> str:
    """Seconds as on a clock: `0:15`, `12:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class RunLog:
    """Tells of a training's epochs on the console and, with the time of day, in a log file. A `report` for `train`.

    The file is appended to, so that a resumed run keeps the story of its first part. Use as a context manager.

    Args:
        path: The log file; its folder exists.
        epochs: Of the whole training.
        echo: Writes a line to the console.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, epochs: int, echo: Callable[[str], object] = print) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8")
        self._epochs = epochs
        self._echo = echo
        self._seconds: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __call__(self, metrics: EpochMetrics) -> None:
        """An epoch is done."""
        self._seconds.append(metrics.seconds)
        left = (self._epochs - metrics.epoch) * sum(self._seconds) / len(self._seconds)
        self.say(epoch_line(metrics, self._epochs, left))

    def say(self, text: str) -> None:
        """Anything else worth a line."""
        self._echo(text)
        self._file.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z}  {text}\n")
        self._file.flush()
