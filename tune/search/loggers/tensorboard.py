"""TensorBoard: a run per trial, with its metrics by epoch, and its fields for the page of hyperparameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from tune.record.folder import SearchFolder
from tune.record.trial import TrialRecord
from tune.spec.files import value_text
from tune.spec.metric import Objective

_ENDED = ".ended"
"""At the end of the name of the file that is written last."""


class TensorBoard:
    """Event files below `tensorboard/` in the search's folder, or in another."""

    def __init__(self, folder: SearchFolder, objective: Objective, output: Path | None) -> None:
        self._root, self._objective = output or folder.path / "tensorboard", objective
        self.place = str(self._root)
        self._open: dict[int, tuple[SummaryWriter, int]] = {}  # the writer of a trial, and the epochs it has written

    def complete(self, number: int) -> bool:
        """Whether the file that is written last is there."""
        return any(self._folder(number).glob(f"events.*{_ENDED}"))

    def write(self, trial: TrialRecord) -> None:
        """Append what is new; what other processes have written of the trial is replaced."""
        writer, done = self._open.get(trial.number) or (self._start(trial.number), 0)
        for metrics, when in list(zip(trial.epochs, trial.epoch_ends, strict=True))[done:]:
            for name, value in {**metrics.values, "lr": metrics.lr, "seconds": metrics.seconds}.items():
                writer.add_scalar(name, value, metrics.epoch, walltime=when)
        writer.flush()
        self._open[trial.number] = writer, len(trial.epochs)
        if trial.status.ended:
            del self._open[trial.number]
            writer.close()
            self._end(trial)

    def close(self) -> None:
        """Close the files of trials that have not ended."""
        for writer, _ in self._open.values():
            writer.close()

    def _folder(self, number: int) -> Path:
        return self._root / f"trial_{number:05d}"

    def _start(self, number: int) -> SummaryWriter:
        for path in self._folder(number).glob("events.out.tfevents.*"):
            path.unlink()
        return SummaryWriter(str(self._folder(number)))

    def _end(self, trial: TrialRecord) -> None:
        """The fields, the best value and the outcome, in a file of their own."""
        best, name = trial.best(self._objective), f"best/{self._objective.metric.name}"
        values = {name: result[self._objective.metric.name]} if (result := trial.result(self._objective)) else {}
        with SummaryWriter(str(self._folder(trial.number)), filename_suffix=_ENDED) as writer:
            fields = {field: _plain(value) for field, value in trial.config.items()}
            for summary in hparams(fields, values):  # type: ignore[no-untyped-call]
                writer.file_writer.add_summary(summary)
            for tag, value in values.items():
                writer.add_scalar(tag, value, best.epoch if best else None)
            writer.add_text("outcome", f"{trial.status}: {trial.reason}" if trial.reason else str(trial.status))


def _plain(value: Any) -> Any:
    """A field's value as TensorBoard takes it."""
    return value if isinstance(value, bool | int | float | str) else value_text(value)
