"""Opening a search: its specification, folder, record and lock as one value, to read it or to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from data.words import quoted
from search_spaces import Space
from tune.environment import no_garbage_collection
from tune.errors import UserError
from tune.files import fetch
from tune.record.as_optuna import directions, quiet_optuna
from tune.record.exclusive.driving import is_driven, lease, refuse_driven_journal
from tune.record.exclusive.folder_lock import lock_folder
from tune.record.exclusive.lease import Lease
from tune.record.folder import SearchFolder
from tune.record.pareto import Point, front_of, points_of
from tune.record.same_data import FILE as DATA  # alone, it is left of a start that was killed
from tune.record.search_yaml import FREE, read_outline, read_space, read_spec, refuse_changes, study_of, write_spec
from tune.record.storage.journal import repair
from tune.record.study import Record
from tune.record.tables import front_first, ranked, trials_table
from tune.record.trial import TrialRecord
from tune.spec.dotted import flatten
from tune.spec.files import read_tree
from tune.spec.metric import Objective
from tune.spec.search_settings import SearchSettings

if TYPE_CHECKING:
    from tune.spec.search import SearchSpec

Say = Callable[[str], None]


# -- to read


@dataclass(frozen=True)
class Search:
    """A search as recorded so far. It is read once; nothing stays open.

    Attributes:
        folder: Its folder.
        settings: How it searches.
        fields: The names of the searched fields.
        facts: What is noted about the search as a whole.
        trials: By number.
        driven: Whether a process is running it.
    """

    folder: SearchFolder
    settings: SearchSettings
    fields: tuple[str, ...]
    facts: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]
    driven: bool

    @cached_property
    def spec(self) -> SearchSpec:
        """What is searched, and how; read when it is first asked for, since models bring torch.

        Raises:
            SpecError: `search.yaml` is damaged.
        """
        return read_spec(self.folder)

    @cached_property
    def space(self) -> Space:
        """The domains of the searched fields, which are known without models and torch."""
        return read_space(self.folder)

    @cached_property
    def tree(self) -> dict[str, Any]:
        """The content of `search.yaml`, likewise without models and torch."""
        return read_tree(self.folder.spec)

    @cached_property
    def base(self) -> Mapping[str, Any]:
        """The experiment as a tree, with its data, its model and its epochs where these are not searched."""
        base = self.tree["experiment"]
        whole = {"data.name", "model.name", "training.epochs"} <= {*flatten(base), *self.fields}
        return base if whole else self.spec.base  # the file may have been put back by hand, without the defaults

    @property
    def longest(self) -> int:
        """The number of epochs of the longest possible trial."""
        return self.settings.longest(self.space, self.base)

    @property
    def objective(self) -> Objective:
        """What the trials are judged by."""
        return self.settings.objective

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per trial, best first."""
        seeds = self.settings.seeds
        table = trials_table(self.trials, self.fields, self.objective, self.folder, seeds=seeds)
        if self.objective.several:
            return front_first(table, self.trials, self.objective)
        return ranked(table, self.objective.metric.name)

    @cached_property
    def points(self) -> dict[int, Point]:
        """With several objectives: the costs of each trial that can be compared."""
        return points_of(self.trials, self.objective)

    @property
    def front(self) -> list[int]:
        """The trials that no other dominates, by their first objective, best first."""
        return front_of(self.points)


@no_garbage_collection()
def read_search(folder: SearchFolder) -> Search:
    """Read a search, which another process may be running at the same time; nothing is written.

    Raises:
        SpecError: `search.yaml` is damaged.
        DamagedRecordError: `search.yaml` or the record is missing, or the record is damaged.
        UserError: the record is not where `--study` says.
    """
    settings, fields = read_outline(folder)
    with quiet_optuna(), closing(open_record(folder, settings.objective)) as record:
        driven = is_driven(folder, record)
        facts, trials = record.facts, record.trials()
    if not driven:  # then nothing runs: what a process that died left running waits to be resumed
        trials = [trial.at_rest for trial in trials]
    return Search(folder, settings, fields, facts, tuple(trials), driven)


# -- to run


@dataclass(frozen=True)
class OpenSearch:
    """A search that this process alone runs.

    Attributes:
        folder: Its folder, which is locked.
        spec: The search as asked for now.
        started: The search as it was started; differs in what `FREE` names.
        record: Its record, to be read and written.
        lease: The right to write to the record.
    """

    folder: SearchFolder
    spec: SearchSpec
    started: SearchSpec
    record: Record
    lease: Lease


def check_startable(folder: SearchFolder, spec: SearchSpec, *, resume: bool) -> None:
    """Refuse a name that is taken, or to resume a search that does not exist or is another one; nothing is written.

    Raises:
        UserError: the name is taken, or there is no such search, or its record is not where `--study` says.
        SpecError: the search was started with another specification.
        WorkError: the database cannot be reached.
    """
    fetch(folder.path)
    if resume:
        if not folder.exists:
            raise UserError(
                f"there is no search {quoted(folder.name)} in {folder.path.parent}; start it without --resume"
            )
        free = (*FREE, *(f"experiment.{name}" for name in FREE))
        refuse_changes("search", read_spec(folder).to_tree(), spec.to_tree(), str(folder.spec), free)
        study_of(folder)
    elif folder.exists or any(not path.name.startswith(".") and path.name != DATA for path in folder.path.glob("*")):
        raise UserError(f"{folder.path} already exists; use --resume or --extend N to continue it, or another --name")
    elif folder.study is not None:
        from tune.record.storage.studies import check_new_study

        check_new_study(folder.study, folder.name, folder.path)


@contextmanager
def drive_search(
    folder: SearchFolder, spec: SearchSpec, made_with: Callable[[], Mapping[str, Any]], say: Say, *, resume: bool
) -> Iterator[OpenSearch]:
    """Start a search or resume it, as the one process that runs it.

    Args:
        folder: Where; created if need be.
        spec: The search as asked for.
        made_with: What a new search is made with, for its `search.yaml`; called when the folder is locked.
        say: Called with a line about repairs and waits.
        resume: Whether the search exists.

    Raises:
        UserError: another process runs the search, or has started one of this name in the meantime.
        WorkError: the record is damaged beyond repair, or cannot be reached.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder):
        check_startable(folder, spec, resume=resume)  # again: now nobody else can change the answer
        if not resume:
            write_spec(folder, spec, made_with())
        objective = spec.search.objective
        refuse_driven_journal(folder, objective)
        if repaired := repair(folder.journal):
            say(repaired)
        # A kill may have come between search.yaml and the record; but where there are trials, a record was lost.
        untouched = not any(folder.path.glob("trial_*")) and not folder.trials_table.is_file()
        with (
            closing(open_record(folder, objective, say, create=untouched)) as record,
            lease(folder, record) as held,
        ):
            yield OpenSearch(folder, spec, read_spec(folder), record, held)


# -- where the record is


def open_record(folder: SearchFolder, objective: Objective, say: Say | None = None, *, create: bool = False) -> Record:
    """The record of a search that has a `search.yaml`, to be closed after use.

    Args:
        folder: Of the search.
        objective: What its trials are judged by.
        say: Called with a line about waits for a full disk or a database that does not answer; without it, there is
            no waiting.
        create: Start the record where there is none.

    Raises:
        DamagedRecordError: it is missing or damaged.
        UserError: it is not where `--study` says, or the database has another search's record of this name.
        WorkError: the database cannot be reached.
    """
    if (study := study_of(folder)) is not None:
        from tune.record.storage.studies import open_study

        assert folder.study is not None
        database = open_study(folder.study, study, folder.path, directions(objective), say, create=create)
        return Record(database, study["name"], objective)
    options = {} if say is None else {"say": say}
    if create and (not folder.journal.is_file() or folder.journal.stat().st_size == 0):
        return Record.create(folder.journal, folder.name, objective, **options)
    return Record.open(folder.journal, folder.name, objective, **options)
