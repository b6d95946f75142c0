"""Searches and runs for notebooks and scripts: `load_search` and `load_run`. Neither needs Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

import models
from tune.errors import UserError
from tune.record.folder import RunFolder, locate_run, locate_search
from tune.record.opening import Search, read_search
from tune.record.tables import epochs_table
from tune.report.analysis import importances
from tune.runs.info import RunInfo, read_run
from tune.runs.weights import open_run
from tune.spec import Experiment
from tune.training import load_weights


class SearchResults:
    """The trials of a search, as recorded when it was loaded. Load it again to see what a running search has added.

    >>> search = load_search("checkpoints/digits")
    >>> best = search.best(3)
    >>> bool(best["val_loss"].is_monotonic_increasing)
    True
    >>> set(search.importances().index) <= set(search.fields)
    True
    >>> search.model(best["trial"].iloc[0]).training
    False
    """

    def __init__(self, search: Search) -> None:
        self._search = search

    def __repr__(self) -> str:
        state = "running" if self._search.driven else "not running"
        return f"<search {self._search.folder.name}: {len(self._search.trials)} trials, {state}>"

    @property
    def folder(self) -> Path:
        """Where the search is."""
        return self._search.folder.path

    @property
    def fields(self) -> list[str]:
        """Dotted names of the searched fields."""
        return list(self._search.spec.space.domains)

    @property
    def metric(self) -> str:
        """What trials are ranked by."""
        return self._search.objective.metric.name

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial, best first. Metrics are those of the trial's best epoch; unknown values are missing.

        Columns: `trial` (int), `status`, `reason` (text), `best_epoch` (int), `val_loss`, `val_accuracy`, `train_loss`,
        `train_accuracy` (float; accuracies are fractions), `epochs` (int, finished), `seconds` (float, of training),
        `parameters`, `mult_adds` (int; per image), `efficiency` (accuracy in % per 1,000 parameters), `checkpoint`
        (text, below the search's folder, where weights are kept), and one `config.<field>` per searched field.
        """
        return self._search.table.reset_index(drop=True)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch: `trial`, `epoch` (int, from 1), the metrics, `lr`, `seconds` (float)."""
        return epochs_table(self._search.trials)

    def best(self, k: int = 1) -> pd.DataFrame:
        """The best `k` trials that have a value of the metric, best first; the same columns as `trials`."""
        return self.trials.dropna(subset=[self.metric]).head(k)

    def importances(self) -> pd.Series:
        """How much each field mattered, largest first, in shares of 1; see `tune.report.analysis.importances`."""
        shares = importances(list(self._search.trials), self._search.spec.space, self._search.objective)
        return pd.Series(shares, name="importance", dtype="float64")

    def experiment(self, trial: int) -> Experiment:
        """The complete experiment of a trial.

        Raises:
            UserError: there is no such trial.
        """
        return self._search.spec.experiment(self._trial(trial).config)

    def model(self, trial: int) -> nn.Module:
        """The network of a trial with the weights of its best epoch, on the CPU and in evaluation mode.

        Raises:
            UserError: there is no such trial, or its weights are not kept (`search.retention.best` says how many are).
            CheckpointError: the weights are damaged.
        """
        self._trial(trial)
        path = self._search.folder.best(trial)
        if not path.is_file():
            kept = self.trials.dropna(subset=["checkpoint"])["trial"].tolist()
            raise UserError(f"the weights of trial {trial} are not kept; kept are those of {kept or 'no trial'}")
        weights, _ = load_weights(path)
        spec = self.experiment(trial).model
        input_shape, classes = self._shape(trial)
        model = models.build(spec.name, input_shape, classes, **spec.options())
        model.load_state_dict(weights)
        return model.eval()

    def _trial(self, number: int) -> Any:
        if number not in range(len(self._search.trials)):
            raise UserError(f"{self.folder} has no trial {number}; it has 0 to {len(self._search.trials) - 1}")
        return self._search.trials[number]

    def _shape(self, trial: int) -> tuple[tuple[int, int, int], int]:
        """The shape of the images and the number of classes."""
        from tune.spec import data_root
        from tune.spec.checks import inspect_data

        info = inspect_data(self.experiment(trial).data, data_root())
        return info.input_shape, len(info.classes)


class RunResults:
    """A single training.

    >>> run = load_run("checkpoints/first")
    >>> len(run.epochs) <= run.experiment.training.epochs
    True
    >>> run.evaluation["split"]
    'test'
    >>> run.model().training
    False
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.experiment, self._info = read_run(folder)

    def __repr__(self) -> str:
        return f"<run {self._folder.path.name}: {self.experiment.model.name} on {self.experiment.data.name}>"

    @property
    def folder(self) -> Path:
        """Where the run is."""
        return self._folder.path

    @property
    def info(self) -> RunInfo:
        """Classes, normalization, versions and hardware of the run."""
        return self._info

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch: `epoch` (int, from 1), the metrics, `lr` (of the last step), `seconds`.

        Raises:
            UserError: the run has not finished an epoch.
        """
        return self._table(self._folder.epochs_table, "has not finished an epoch")

    @cached_property
    def evaluation(self) -> Mapping[str, Any]:
        """What `imagetune evaluate` found on the test images.

        Raises:
            UserError: the run has not been evaluated.
        """
        self._require(self._folder.evaluation, _NOT_EVALUATED)
        found: dict[str, Any] = json.loads(self._folder.evaluation.read_text(encoding="utf-8"))
        return found

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per test image: `index` (its position in the test part), `label`, `predicted` and their names,
        `probability` (of the prediction), `label_probability`.

        Raises:
            UserError: the run has not been evaluated.
        """
        return self._table(self._folder.predictions, _NOT_EVALUATED)

    def model(self) -> nn.Module:
        """The network with the weights of its best epoch, on the CPU and in evaluation mode.

        Raises:
            UserError: the run has not finished an epoch.
            CheckpointError: the weights are damaged.
        """
        return open_run(self._folder, torch.device("cpu")).model

    def _table(self, path: Path, why: str) -> pd.DataFrame:
        self._require(path, why)
        return pd.read_parquet(path)

    def _require(self, path: Path, why: str) -> None:
        if not path.is_file():
            raise UserError(f"{self.folder} {why}")


_NOT_EVALUATED = "has not been evaluated; run `imagetune evaluate` on it"


def load_search(search: str | Path, *, out: str | Path = "checkpoints", study: str | None = None) -> SearchResults:
    """Load a search, which may be running.

    Args:
        search: Its folder, or its name below `out`.
        out: The folder with searches and runs.
        study: The URL of the database that holds its record, if it was given to `imagetune search`.

    Raises:
        UserError: there is no such search.
        DamagedRecordError: its record cannot be read.
    """
    return SearchResults(read_search(locate_search(str(search), Path(out), study)))


def load_run(run: str | Path, *, out: str | Path = "checkpoints") -> RunResults:
    """Load a run.

    Args:
        run: Its folder, or its name below `out`, such as `digits/winners/00012-seed0`.
        out: The folder with searches and runs.

    Raises:
        UserError: there is no such run.
        SpecError: its `experiment.yaml` is damaged.
    """
    return RunResults(locate_run(str(run), Path(out)))
