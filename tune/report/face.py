"""A search for notebooks and scripts: `load_search`, which needs neither Ray nor the images."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from data.words import counted, numbered
from tune.buckets.parsing import folder_of
from tune.errors import UserError
from tune.files import is_file
from tune.record.folder import RunFolder, locate_search
from tune.record.opening import Search, read_search
from tune.record.pareto import hypervolume
from tune.record.search_yaml import made_with
from tune.record.tables import epochs_table
from tune.record.trial import TrialRecord
from tune.report.analysis import budget_correlation, importances

if TYPE_CHECKING:  # they bring torch, which tables do not need
    from torch import nn

    from tune.report.run_results import RunResults
    from tune.spec import Experiment


class SearchResults:
    """The trials of a search, as recorded when it was loaded. Load it again to see what a running search has added.

    >>> search = load_search("checkpoints/digits")
    >>> best = search.best(3)
    >>> bool(best["val_loss"].is_monotonic_increasing)
    True
    >>> set(search.importances().index) <= set(search.fields)
    True
    >>> search.experiment(best["trial"].iloc[0]).data.name
    'digits'
    >>> search.model(best["trial"].iloc[0]).training
    False
    """

    def __init__(self, search: Search) -> None:
        self._search = search

    def __repr__(self) -> str:
        state = "running" if self._search.driven else "not running"
        return f"<search {self._search.folder.name}: {counted(len(self._search.trials), 'trial')}, {state}>"

    @property
    def folder(self) -> Path:
        """Where the search is."""
        return self._search.folder.path

    @property
    def fields(self) -> list[str]:
        """Dotted names of the searched fields."""
        return list(self._search.fields)

    @property
    def metric(self) -> str:
        """What trials are ranked by."""
        return self._search.objective.metric.name

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial, best first. Metrics are those of the trial's best epoch; unknown values are missing.

        | column | type | |
        | --- | --- | --- |
        | `trial` | int | its number, from 0 |
        | `front` | int | with several objectives: 1 if no trial dominates it, 2 if only those with 1 do, ... |
        | `status`, `reason` | text | how it ended, such as `stopped` by `asha` |
        | `best_epoch` | int | from 1 |
        | `val_loss`, `val_accuracy`, `train_loss`, `train_accuracy` | float | accuracies are fractions from 0 to 1 |
        | `epochs` | int | finished ones, of the first seed |
        | `seeds` | int | in a search with `seeds`: how many the metrics are means of |
        | `val_loss_std`, `val_accuracy_std` | float | likewise: standard deviations over them (ddof 1) |
        | `seconds` | float | of training, all seeds |
        | `parameters`, `mult_adds` | int | multiply-adds per image |
        | `latency_ms` | float | in a search that limits it: milliseconds for one image, on one CPU core |
        | `efficiency` | float | accuracy in % per 1,000 parameters |
        | `checkpoint` | text | the weights, below the search's folder; missing where they are not kept |
        | `proposed` | text | how it was found: `first`, `random start`, `explore`, `exploit`, `tpe`, `by hand` ... |
        | `config.<field>` | int, float, bool, text | one per searched field; lists and mappings are JSON texts |

        Autoencoders have no accuracies but columns for the terms of their loss.
        """
        return self._search.table.reset_index(drop=True)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch, by trial and epoch; of each trial's first seed.

        Columns: `trial`, `epoch` (int, from 1); the metrics, `lr` (of the last step), `seconds` (float).
        """
        return epochs_table(self._search.trials)

    @cached_property
    def replicates(self) -> pd.DataFrame:
        """The same of further seeds: column `replicate` is 1 for the second; empty in a search with one seed."""
        table = epochs_table(self._search.trials, seeds=max(self._search.settings.seeds, 2))
        return table[table["replicate"] > 0].reset_index(drop=True)

    @cached_property
    def winners(self) -> list[RunResults]:
        """The runs of retrained trials, those of the best trial first."""
        from tune.report.run_results import RunResults

        folders = [
            path for number in self.trials["trial"] for path in self._search.folder.winners.glob(f"{number:05d}-*")
        ]
        return [RunResults(found) for path in folders if (found := RunFolder(path)).exists]

    def best(self, k: int = 1) -> pd.DataFrame:
        """The best `k` trials that have a value of the metric, best first; the same columns as `trials`.

        Raises:
            ValueError: `k` is negative.
        """
        if k < 0:
            raise ValueError(f"k must be at least 0 (got {k})")
        return self.trials.dropna(subset=[self.metric]).head(k)

    @property
    def front(self) -> pd.DataFrame:
        """In a search by several objectives: the trials that no other dominates, by the first objective, best first.

        The same columns as `trials`; empty in a search by one objective.
        """
        table = self.trials.set_index("trial", drop=False)
        return table.loc[self._search.front if self._search.objective.several else []].reset_index(drop=True)

    @property
    def hypervolume(self) -> float | None:
        """How much of the box between the best and the worst value of each objective the front dominates, 0 to 1.

        None in a search by one objective, or where trials do not differ in every objective.
        """
        return hypervolume(self._search.points) if self._search.objective.several else None

    def importances(self) -> pd.Series:
        """How much each field mattered: shares that add up to 1, by field, largest first.

        By PED-ANOVA, over all trials at an epoch that at least half of them reached. Fields that are not set in every
        trial are left out; it is empty with fewer than 3 trials.
        """
        shares = importances(list(self._search.trials), self._search.space, self._search.objective)
        return pd.Series(shares, name="importance", dtype="float64")

    def budget_correlation(self) -> pd.DataFrame:
        """How well the ranking of trials after each epoch predicts their ranking at the end.

        A scheduler that stops trials where the correlation is high stops the right ones.

        Returns:
            Columns `epoch`, `correlation` (Spearman's rank correlation, -1 to 1), `trials` (that reached the end, the
            last epoch that at least 3 trials reached); empty with fewer than 3 trials.
        """
        return budget_correlation(self.epochs, self._search.objective)

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
        from tune.runs.weights import build_trained

        number = self._trial(trial).number
        path = self._search.folder.best(number)
        if not is_file(path):
            kept = ", ".join(map(str, self.trials.dropna(subset=["checkpoint"])["trial"])) or "none"
            raise UserError(
                f"the weights of trial {number} are not kept (kept: {kept}); "
                f"run `imagetune retrain {self._search.folder.argument} --trial {number}` to train it again"
            )
        input_shape, classes = self._shape(number)
        return build_trained(path, self.experiment(number).model, input_shape, classes)[0]

    def _trial(self, number: int) -> TrialRecord:
        if number not in range(len(self._search.trials)):
            has = numbered(len(self._search.trials), "trial")
            raise UserError(f"{self.folder} has no trial {number}; it has {has}")
        return self._search.trials[int(number)]  # rows of numbers only are floats in pandas

    def _shape(self, trial: int) -> tuple[tuple[int, int, int], int]:
        """The shape of the images and the number of classes."""
        from tune.spec.checks.images import data_root, inspect_data

        spec, recorded = self.experiment(trial).data, made_with(self._search.folder)
        if "input_shape" not in recorded:  # a search of an earlier version: the images are needed
            info = inspect_data(spec, data_root())
            return info.input_shape, len(info.classes)
        channels, height, width = recorded["input_shape"]
        if spec.image_size is not None:  # which may be searched
            height = width = spec.image_size
        return (channels, height, width), len(recorded["classes"])


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
    return SearchResults(read_search(locate_search(os.path.expanduser(search), folder_of(str(out)), study)))
