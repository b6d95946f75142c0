"""The files of a run while it trains: locked by one process, each written whole, the checkpoint first.

`last.pt` contains everything; the weights and the table of epochs are derived from it, so that a kill between two files
loses nothing: the next `keep` writes them again.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from tune.errors import UserError
from tune.files import PARTIAL, is_file, remove, write_whole
from tune.record import same_data
from tune.record.disk import FULL, retry_until_writable
from tune.record.folder import RunFolder
from tune.record.status import Status
from tune.record.tables import epochs_table, read_parquet, to_parquet
from tune.record.trial import TrialRecord
from tune.spec.metric import EpochMetrics
from tune.training import CheckpointError, Training, load_weights, save, save_weights


def refuse_taken(folder: RunFolder) -> None:
    """Refuse a folder that is not empty; files of a run that was killed before it began do not count.

    Raises:
        UserError: It is a run, or contains other files; or its path is not UTF-8, which safetensors cannot open.
    """
    if os.fsencode(folder.path).decode(errors="replace") != str(folder.path):
        raise UserError(f"{folder.path} is not valid UTF-8; use another --out")
    if not folder.path.exists():
        return
    if not folder.path.is_dir():
        raise UserError(f"{folder.path} exists and is not a folder; use another --name")
    if folder.exists:
        raise UserError(f"{folder.path} already exists; use --resume to continue it, or another --name")
    if not all(_is_left_over(entry, folder) for entry in folder.path.iterdir()):
        raise UserError(f"{folder.path} already exists and is not a run; use another --name")


def _is_left_over(path: Path, folder: RunFolder) -> bool:
    return (
        path in (folder.last, folder.log, folder.path / same_data.FILE)
        or path.match(PARTIAL)
        or path.name.startswith(".")
    )


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Create the folder if needed, and lock it for this process; the kernel releases the lock when the process ends.

    Raises:
        UserError: Another process has locked it, or it cannot be written to.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        file = folder.log.open("a")
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UserError(f"{error.filename}: {error.strerror}; use an --out that is writable") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise UserError(f"{folder.path}: another process is training this run; wait for it, or stop it") from None
        for left in folder.path.glob(PARTIAL):
            left.unlink(missing_ok=True)
        yield


def discard(folder: RunFolder) -> None:
    """Delete the files of a run that has no finished epoch, and the folder if that was all."""
    for path in (folder.experiment, folder.last, folder.log, folder.path / same_data.FILE):
        remove(path)
    with suppress(OSError):
        folder.path.rmdir()


def keep(folder: RunFolder, training: Training, say: Callable[[str], None]) -> None:
    """Save a training; while the disk is full, wait.

    Raises:
        FullDiskError: It stayed full.
    """
    state = training.state()
    retry_until_writable(lambda: save(folder.last, state), folder.path, say)
    best, weights = training.best, training.best_weights
    if best is None or weights is None:
        return
    if best is training.history[-1] or not is_file(folder.weights):
        facts = {"epoch": str(best.epoch)}  # only one: safetensors writes several in any order, and equal files differ
        retry_until_writable(lambda: save_weights(folder.weights, weights, facts), folder.path, say)
    table = to_parquet(history_table(training.history))
    retry_until_writable(lambda: write_whole(folder.epochs_table, table), folder.path, say)


def up_to_date(folder: RunFolder, training: Training) -> bool:
    """Whether the weights and the table match the checkpoint that the training was loaded from."""
    if training.best is None:
        return not training.history
    try:
        _, facts = load_weights(folder.weights)
        rows = len(read_parquet(folder.epochs_table))
    except (CheckpointError, OSError, ValueError):  # pyarrow's error for a damaged file is a ValueError
        return False
    return facts.get("epoch") == str(training.best.epoch) and rows == len(training.history)


def history_table(history: Sequence[EpochMetrics]) -> pd.DataFrame:
    """One row per epoch, with the columns of a search's table except `trial`."""
    return epochs_table([TrialRecord(0, {}, Status.COMPLETED, epochs=tuple(history))]).drop(columns="trial")
