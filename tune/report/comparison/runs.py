"""A run as `compare` sees it, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import models
from tune.errors import WorkError
from tune.evaluation.files import read_evaluation
from tune.record.folder import RunFolder
from tune.record.tables import read_parquet
from tune.runs.curves import comparable
from tune.runs.info import RunInfo, read_run
from tune.spec import Experiment
from tune.spec.metric import METRICS


@dataclass(frozen=True)
class ComparedRun:
    """A run as it lies on disk.

    Attributes:
        name: The end of its folder's path that no other run of the comparison has.
        folder: Its files.
        experiment: What was trained.
        info: What it was made with.
        epochs: One row per epoch; empty before the first. A VAE's train_loss is a negative bound, as val_loss is.
        evaluation: `evaluation.json`; empty if the run has not been evaluated on the test images since its training.
        predictions: One row per test image; None likewise.
    """

    name: str
    folder: RunFolder
    experiment: Experiment
    info: RunInfo
    epochs: pd.DataFrame
    evaluation: Mapping[str, Any]
    predictions: pd.DataFrame | None

    @property
    def task(self) -> str:
        """What its model is for, as in `models.ModelEntry.task`."""
        return models.get(self.experiment.model.name).task

    @cached_property
    def best(self) -> Mapping[str, Any]:
        """The epoch whose weights were kept, as a row of `epochs`; empty without one."""
        name = self.info.metric
        if name not in self.epochs:
            return {}
        known = self.epochs[np.isfinite(self.epochs[name].astype("float64"))]
        rows = known.sort_values(name, ascending=METRICS[name].goal == "min", kind="stable").head(1).to_dict("records")
        return {str(key): value for key, value in rows[0].items()} if rows else {}


def names(paths: Sequence[Path]) -> list[str]:
    """The shortest end of each path that no other path has."""
    ends = [["/".join(path.parts[-k:]) for k in range(1, len(path.parts) + 1)] for path in paths]
    return [
        next(end for end in own if not any(end in other for other in ends if other is not own)) for own in ends
    ]  # fmt: skip


def read_compared(folder: RunFolder, name: str) -> ComparedRun:
    """Read a run; neither images nor weights are read.

    Args:
        folder: The run's.
        name: Of the run in the comparison.

    Raises:
        SpecError: `experiment.yaml` is damaged.
        WorkError: another file is damaged.
    """
    experiment, info = read_run(folder)
    empty = pd.DataFrame({"epoch": pd.Series(dtype="int64"), "seconds": pd.Series(dtype="float64")})
    epochs = _table(folder.epochs_table, *empty)
    epochs = None if epochs is None else comparable(epochs, experiment, info)
    evaluation = read_evaluation(folder) or {}
    predictions = _table(folder.predictions, "label") if evaluation else None
    evaluation = {} if predictions is None else evaluation
    return ComparedRun(name, folder, experiment, info, empty if epochs is None else epochs, evaluation, predictions)


def _table(path: Path, *columns: str) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        table = read_parquet(path)
        if missing := [name for name in columns if name not in table]:
            raise ValueError(f"it has no column {', '.join(missing)}")
    except (ValueError, OSError) as error:  # as pyarrow's errors are
        raise _damaged(path, error) from None
    return table


def _damaged(path: Path, error: Exception) -> WorkError:
    return WorkError(f"{path} is damaged ({error}); remove it, and evaluate or resume the run again")
