"""A search with the figures that the report's charts and sentences share, each computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from tune.record.opening import Search
from tune.record.tables import epochs_table
from tune.report.analysis import best_by_epochs_spent, budget_correlation, importances, running_best
from tune.spec.metric import Objective


@dataclass(frozen=True)
class Findings:
    """What the figures of a search say.

    Attributes:
        search: As it was read.
    """

    search: Search

    @property
    def objective(self) -> Objective:
        """What trials are ranked by."""
        return self.search.objective

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial, best first."""
        return self.search.table

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch."""
        return epochs_table(self.search.trials)

    @cached_property
    def best_by_epoch(self) -> pd.DataFrame:
        """As `analysis.running_best`."""
        return running_best(self.epochs, self.objective)

    @cached_property
    def best_so_far(self) -> pd.DataFrame:
        """As `analysis.best_by_epochs_spent`."""
        ends = [end for trial in self.search.trials for end in trial.epoch_ends]
        return best_by_epochs_spent(self.epochs, ends, self.objective)

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """As `analysis.importances`."""
        return importances(list(self.search.trials), self.search.space, self.objective)

    @cached_property
    def correlation(self) -> pd.DataFrame:
        """As `analysis.budget_correlation`."""
        return budget_correlation(self.epochs, self.objective)
