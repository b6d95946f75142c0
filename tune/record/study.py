"""The record of a search: an Optuna study in durable storage, and the only truth about the search.

A trial is added in one write, WAITING, with its whole configuration, so that a kill cannot leave half of one. Each
epoch adds its metrics; the end adds the outcome, then Optuna's final state. Every write may be repeated after a kill.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage
from optuna.trial import TrialState, create_trial

from search_spaces import Config, Space
from tune.record.as_optuna import CONSTRAINT_PREFIX, directions, final_state, params
from tune.record.status import Status
from tune.record.storage.journal import DamagedRecordError, Journal
from tune.record.storage.read_only import ReadOnlyStorage
from tune.record.trial import PAUSED, PROMOTED, SEED, TrialRecord, epoch_key, read_trial
from tune.spec.metric import EpochMetrics, Objective

_NO_TRIALS = "it was lost, or nothing was recorded yet; restore it from a backup, or start the search with --resume"


class Record:
    """One search's study: read and written here and nowhere else."""

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        objective: Objective,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._storage, self.name, self._together = storage, name, together
        self._study = storage.get_study_id_from_name(name)
        self.objective = objective
        self._ids: dict[int, int] = {}
        self.guard: Callable[[], None] = lambda: None
        """Called before each write; raises where another process has taken the search over."""

    @classmethod
    def create(cls, journal: Path, name: str, objective: Objective, **options: Any) -> Record:
        """Start the record of a new search in a journal file."""
        file = Journal(journal, **options)
        storage = JournalStorage(file)
        storage.create_new_study(directions(objective), name)
        return cls(storage, name, objective, file.together)

    @classmethod
    def open(cls, journal: Path, name: str, objective: Objective, **options: Any) -> Record:
        """Open the record of an existing search.

        Raises:
            DamagedRecordError: the journal is missing, empty, or cannot be read.
        """
        if not journal.is_file():
            raise DamagedRecordError(f"{journal} is missing: {_NO_TRIALS}")
        try:
            file = Journal(journal, **options)
            storage = JournalStorage(file)
            names = [study.study_name for study in storage.get_all_studies()]
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
            raise DamagedRecordError(f"{journal} is damaged ({error}); use --resume to repair it") from None
        if not names:
            raise DamagedRecordError(f"{journal} is empty: {_NO_TRIALS}")
        name = name if name in names else names[0]  # the folder was renamed or copied
        return cls(storage, name, objective, file.together)

    @property
    def metric(self) -> str:
        """The name of the metric that trials are judged by."""
        return self.objective.metric.name

    @property
    def _writable(self) -> BaseStorage:
        self.guard()
        return self._storage

    def close(self) -> None:
        """Close a database's connection."""
        if close := getattr(self._storage, "close", None):
            close()

    @property
    def engine(self) -> Any:
        """SQLAlchemy's engine of a database, None for a journal."""
        return getattr(self._storage, "engine", None)

    # -- reading

    def read_only(self) -> tuple[BaseStorage, int]:
        """The storage for Optuna's own tools, which cannot write to it, and the identity of the study there."""
        names = [metric.name for metric in self.objective.every]
        return ReadOnlyStorage(self._storage, self._study, names), self._study

    def trials(self) -> list[TrialRecord]:
        """Every trial by number."""
        return [read_trial(trial) for trial in self._storage.get_all_trials(self._study, deepcopy=False)]

    def trial(self, number: int) -> TrialRecord:
        """One trial."""
        return read_trial(self._storage.get_trial(self._id(number)))

    @property
    def facts(self) -> dict[str, Any]:
        """What is noted about the search as a whole."""
        return dict(self._storage.get_study_user_attrs(self._study))

    # -- writing

    def note(self, key: str, value: Any) -> None:
        """Note something about the search as a whole (JSON values)."""
        self._writable.set_study_user_attr(self._study, key, value)

    def exchange(self, key: str, old: Any, new: Any) -> bool:
        """Replace a note if it is still `old` (None: missing); whether it was. Does not call the guard."""
        if exchange := getattr(self._storage, "exchange", None):
            return bool(exchange(self._study, key, old, new))
        if self.facts.get(key) != old:
            return False
        self._storage.set_study_user_attr(self._study, key, new)
        return bool(self.facts.get(key) == new)

    def add(self, space: Space, config: Config, facts: Mapping[str, Any]) -> int:
        """A new trial, WAITING, in one line of the journal; returns its number."""
        values, distributions = params(space, config)
        trial = create_trial(
            state=TrialState.WAITING,
            params=values,
            distributions=distributions,
            user_attrs={"config": config, **facts},
        )
        identity = self._writable.create_new_trial(self._study, template_trial=trial)
        number = self._storage.get_trial(identity).number
        self._ids[number] = identity
        return number

    def start(self, number: int) -> None:
        """The trial is running."""
        self._writable.set_trial_state_values(self._id(number), TrialState.RUNNING)

    def requeue(self, number: int) -> None:
        """Put a running trial back to WAITING, its epochs kept."""
        self._writable.set_trial_state_values(self._id(number), TrialState.WAITING)

    def pause(self, number: int, epoch: int) -> None:
        """Pause a running trial after this epoch; `promote` makes it wait for a worker again."""
        identity = self._id(number)
        with self._together():
            self._writable.set_trial_user_attr(identity, PAUSED, epoch)
            self._writable.set_trial_state_values(identity, TrialState.WAITING)

    def promote(self, number: int, epoch: int) -> None:
        """Let a trial that is paused after this epoch continue."""
        self._writable.set_trial_user_attr(self._id(number), PROMOTED, epoch)

    def next_seed(self, number: int, seed: int) -> None:
        """Let a running trial wait for a worker again, to train another seed."""
        identity = self._id(number)
        with self._together():
            self._writable.set_trial_user_attr(identity, SEED, seed)
            self._writable.set_trial_state_values(identity, TrialState.WAITING)

    def fact(self, number: int, key: str, value: Any) -> None:
        """Note something about a trial that has not ended (JSON values)."""
        self._writable.set_trial_user_attr(self._id(number), key, value)

    def epoch(self, number: int, metrics: EpochMetrics, seed: int = 0, facts: Mapping[str, Any] | None = None) -> None:
        """Add an epoch of a running trial; doing so again changes nothing. Optuna sees those of the first seed only.

        Args:
            number: The trial.
            metrics: Of the epoch.
            seed: Which of the trial's seeds.
            facts: What else is known of the trial since then (JSON values).
        """
        identity = self._id(number)
        with self._together():
            for key, fact in (facts or {}).items():
                self._writable.set_trial_user_attr(identity, key, fact)
            if not seed:
                # The value first: a kill between the two leaves no epoch, and both are written again.
                value = metrics.values.get(self.metric, math.nan)
                self._writable.set_trial_intermediate_value(identity, metrics.epoch, value)
            self._writable.set_trial_user_attr(identity, f"{epoch_key(seed)}{metrics.epoch}", metrics.to_dict())

    def end(self, number: int, status: Status, reason: str = "") -> None:
        """The trial's outcome, then its final state: COMPLETE with its best value, FAIL, or PRUNED; once.

        A bad configuration is PRUNED with a violated constraint: as plain PRUNED, a late divergence would rank above
        an early stop.
        """
        assert status.ended
        identity = self._id(number)
        if self._storage.get_trial(identity).state.is_finished():
            return
        trial = dataclasses.replace(self.trial(number), status=status)
        state, values = final_state(trial, self.objective, pruned=not self.objective.several)
        with self._together():
            self._writable.set_trial_user_attr(identity, "outcome", {"status": str(status), "reason": reason})
            if status.bad:
                self._writable.set_trial_system_attr(identity, f"{CONSTRAINT_PREFIX}{status}", 1.0)
            self._writable.set_trial_state_values(identity, state, values)

    def recover(self) -> list[int]:
        """After a process died: end what it was ending, put its running trials back to WAITING; returns those."""
        requeued = []
        for trial in self._storage.get_all_trials(self._study, deepcopy=False):
            if trial.state is TrialState.RUNNING:
                if outcome := trial.user_attrs.get("outcome"):
                    self.end(trial.number, Status(outcome["status"]), outcome["reason"])
                else:
                    self.requeue(trial.number)
                    if self.trial(trial.number).status is Status.WAITING:
                        requeued.append(trial.number)
        return requeued

    def _id(self, number: int) -> int:
        if number not in self._ids:
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(self._study, number)
        return self._ids[number]
