"""A run for notebooks and scripts: `load_run`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor, nn

from tune.buckets.parsing import folder_of
from tune.errors import UserError, WorkError
from tune.evaluation.files import read_evaluation
from tune.record.folder import RunFolder, locate_run
from tune.record.tables import read_parquet
from tune.runs.curves import comparable
from tune.runs.info import RunInfo, read_run
from tune.runs.weights import open_run
from tune.spec import data_root
from tune.training import load_weights

if TYPE_CHECKING:
    from tune.evaluation.evaluate import SplitName


class RunResults:
    """A single training.

    The examples are of a run that `imagetune evaluate` has seen.

    >>> run = load_run("checkpoints/first")
    >>> bool(run.best["val_loss"] == run.epochs["val_loss"].min())
    True
    >>> run.evaluation["split"]
    'test'
    >>> mistakes = run.predictions.query("label != predicted")
    >>> run.images(mistakes["index"]).shape[0] == len(mistakes)
    True
    >>> run.model().training
    False
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.experiment, self._info = read_run(folder)

    def __repr__(self) -> str:
        return f"<run {self.name}: {self.experiment.model.name} on {self.experiment.data.label}>"

    @property
    def folder(self) -> Path:
        """Where the run is."""
        return self._folder.path

    @property
    def name(self) -> str:
        """The folder's name, such as `00012-seed0`."""
        return Path(os.path.abspath(self._folder.path)).name

    @property
    def info(self) -> RunInfo:
        """Classes, normalization, versions and hardware of the run."""
        return self._info

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch: `epoch` (int, from 1), the metrics, `lr` (of the last step), `seconds` (float).

        Raises:
            UserError: the run has not finished an epoch.
        """
        return self._table(self._folder.epochs_table, "has not finished an epoch")

    @property
    def curves(self) -> pd.DataFrame:
        """`epochs`, with an autoencoder's `train_loss` on the scale of `val_loss`: the negative bound.

        `epochs` has the loss that was minimized, `reconstruction + beta * kl`.

        Raises:
            UserError: the run has not finished an epoch.
        """
        return comparable(self.epochs, self.experiment, self.info)

    @property
    def best(self) -> pd.Series:
        """The row of `epochs` of the best epoch, whose weights `model` has.

        Raises:
            UserError: the run has not finished an epoch.
            CheckpointError: the weights are damaged.
        """
        _, facts = load_weights(self._folder.weights)
        return self.epochs[self.epochs["epoch"] == int(facts["epoch"])].iloc[0]

    @property
    def evaluated(self) -> bool:
        """Whether `imagetune evaluate` has been run on it, and it has not been trained further since."""
        return read_evaluation(self._folder) is not None

    @cached_property
    def evaluation(self) -> Mapping[str, Any]:
        """What `imagetune evaluate` found on the test images: the content of `evaluation.json`.

        Raises:
            UserError: the run has not been evaluated.
        """
        if (found := read_evaluation(self._folder)) is None:
            raise UserError(f"{self.folder} {_NOT_EVALUATED}")
        return found

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per test image, in the order of the test set.

        Columns: `index` (int, its position there, for `images`), `label`, `predicted` (int), `label_name`,
        `predicted_name` (text), `probability` (float, of the prediction), `label_probability`. An autoencoder has the
        terms of the loss instead of predictions.

        Raises:
            UserError: the run has not been evaluated.
        """
        assert self.evaluation
        return self._table(self._folder.predictions, _NOT_EVALUATED)

    def model(self) -> nn.Module:
        """The network with the weights of its best epoch, on the CPU and in evaluation mode.

        Raises:
            UserError: the run has not finished an epoch.
            CheckpointError: the weights are damaged.
        """
        return open_run(self._folder, torch.device("cpu")).model

    def images(self, index: Iterable[int], split: SplitName = "test", *, data_dir: str | Path | None = None) -> Tensor:
        """The images behind rows of `predictions`, (n, C, H, W) uint8, in the order asked for.

        Args:
            index: Their positions, as in the column `index` of `predictions`.
            split: Of which split the predictions are.
            data_dir: The data directory, if it is not the default one.

        Raises:
            UserError: the images have changed since the training, or the run has no such split or no weights.
            data.DataError: the images cannot be read.
        """
        from tune.evaluation.evaluate import images_of

        run = open_run(self._folder, torch.device("cpu"))
        part = images_of(run, split, data_root(None if data_dir is None else Path(data_dir)), print)
        return part.images[torch.as_tensor([*index], dtype=torch.int64)]

    def _table(self, path: Path, why: str) -> pd.DataFrame:
        self._require(path, why)
        try:
            return read_parquet(path)
        except (OSError, ValueError) as error:
            raise WorkError(f"{path} is damaged ({error}); remove it, and evaluate or resume the run again") from None

    def _require(self, path: Path, why: str) -> None:
        if not path.is_file():
            raise UserError(f"{self.folder} {why}")


_NOT_EVALUATED = "has not been evaluated since it was trained; run `imagetune evaluate` on it"


def load_run(run: str | Path, *, out: str | Path = "checkpoints") -> RunResults:
    """Load a run.

    Args:
        run: Its folder, or its name below `out`, such as `digits/winners/00012-seed0`.
        out: The folder with searches and runs.

    Raises:
        UserError: there is no such run.
        SpecError: its `experiment.yaml` is damaged.
    """
    return RunResults(locate_run(os.path.expanduser(run), folder_of(str(out))))
