"""Loggers write the trials of a search for other tools: one file each, and a row in `LOGGERS`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from tune.buckets.address import shown, url_of
from tune.errors import UserError
from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.spec.metric import Objective


class Logger(Protocol):
    """Writes trials. However often and by however many processes it is called, the result is as if it were once."""

    place: str
    """Where it writes: a folder or an address."""

    def complete(self, number: int) -> bool:
        """Whether everything of a trial has been written, its end included."""

    def write(self, trial: TrialRecord) -> None:
        """Write what is not there yet of a trial, which may have more epochs the next time."""

    def close(self) -> None:
        """Finish writing."""


Make = Callable[[SearchFolder, Objective, Path | None], Logger]
"""Makes a logger for a search and its objective; where it writes, or None for its own place."""


@dataclass(frozen=True)
class LoggerEntry:
    """A logger, and the package it needs, which has an extra of the logger's name."""

    package: str
    make: Make


def _tensorboard(folder: SearchFolder, objective: Objective, output: Path | None) -> Logger:
    from tune.search.loggers.tensorboard import TensorBoard

    return TensorBoard(folder, objective, output)


def _mlflow(folder: SearchFolder, objective: Objective, output: Path | None) -> Logger:
    from tune.search.loggers.mlflow import MLflow

    return MLflow(folder, objective, output)


LOGGERS = {"tensorboard": LoggerEntry("tensorboard", _tensorboard), "mlflow": LoggerEntry("mlflow", _mlflow)}
"""By the name in `search.loggers`."""


def find_logger(name: str, option: str, place: Path) -> LoggerEntry:
    """A logger whose package is installed.

    Args:
        name: In `LOGGERS`.
        option: What asked for it, for the message.
        place: The folder it writes into, unless it writes to a server.

    Raises:
        UserError: its package is not installed, or it cannot write there.
    """
    entry = LOGGERS[name]
    if find_spec(entry.package) is None:
        raise UserError(f"{option}: {name} is not installed; run: pip install 'imagetune[{name}]'")
    if url_of(place) is not None and not (name == "mlflow" and "MLFLOW_TRACKING_URI" in os.environ):
        raise UserError(
            f"{option}: {name} cannot write to {shown(place)}, only to a folder on a machine; "
            f"use `imagetune log SEARCH --to {name} --output DIR`"
        )
    return entry


def worth_writing(trial: TrialRecord) -> bool:
    """Whether there is anything to write: not for a trial that waits for its first start."""
    return bool(trial.epochs) or trial.status is not Status.WAITING
