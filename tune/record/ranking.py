"""The trials of a search, read from its record and ranked."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tune.errors import UserError
from tune.record.folder import SearchFolder, write_whole
from tune.record.lease import is_driven
from tune.record.search_yaml import read_search
from tune.record.status import Status
from tune.record.storage import open_record
from tune.record.study import TrialRecord, quiet_optuna
from tune.record.tables import epochs_table, ranked, trials_table, write_tables
from tune.spec import SearchSpec
from tune.spec.errors import nearest
from tune.spec.metric import Objective


@dataclass(frozen=True)
class Ranking:
    """What is known of a search's trials.

    Attributes:
        folder: Of the search.
        spec: The search.
        trials: By number.
        table: One row per trial, best first.
    """

    folder: SearchFolder
    spec: SearchSpec
    trials: tuple[TrialRecord, ...]
    table: pd.DataFrame

    @property
    def objective(self) -> Objective:
        """What the search ranks by."""
        return self.spec.search.objective

    def sorted_by(self, column: str) -> pd.DataFrame:
        """The table by another column, best first: see `ranked`.

        Raises:
            UserError: there is no such column.
        """
        if column not in self.table.columns:
            raise UserError(f"--sort: {column!r} is no column; {nearest(column, self.table.columns)}")
        return ranked(self.table, column)

    def write(self) -> None:
        """Make `trials.parquet` and `epochs.parquet` anew.

        Raises:
            OSError: the folder cannot be written to.
        """
        write_tables(self.folder, self.table.sort_values("trial"), epochs_table(self.trials))


def read_ranking(folder: SearchFolder) -> Ranking:
    """Read a search's record, which a driver may be writing at the same time.

    Raises:
        SpecError: `search.yaml` is damaged.
        DamagedRecordError: the record is.
    """
    spec = read_search(folder)
    with quiet_optuna(), closing(open_record(folder, spec.search.objective)) as record:
        driven = is_driven(folder, record)
        trials = record.trials()
    if not driven:
        trials = [_at_rest(trial) for trial in trials]
    table = trials_table(trials, list(spec.space.domains), spec.search.objective, folder)
    return Ranking(folder, spec, tuple(trials), ranked(table, spec.search.metric))


def _at_rest(trial: TrialRecord) -> TrialRecord:
    """Without a driver nothing runs: what a dead one left running waits to go on."""
    return dataclasses.replace(trial, status=Status.WAITING) if trial.status is Status.RUNNING else trial


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A dataframe as rows of plain values; what is unknown is None."""
    plain = table.astype(object)
    return [
        {str(key): value for key, value in row.items()} for row in plain.where(table.notna(), None).to_dict("records")
    ]


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, whole.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(path, table.to_csv(index=False).encode())
