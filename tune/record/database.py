"""Optuna's storage in a database, as steady as the journal: waits while the database is away, repeats no write twice.

What Optuna's own leaves open (optuna >=5,<6): its retries could enter a trial twice when the answer to a commit is
lost; an end that is repeated raises; a lost connection ends the program.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any, TypeVar

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event, text

from tune.record import disk
from tune.record.connection import AwayError, arguments, has_tables, raise_away, set_up, template
from tune.record.study import direction
from tune.record.url import IDENTITY, Say, shown, taken
from tune.spec.metric import Objective

T = TypeVar("T")
_EXCHANGE = text(
    "UPDATE study_user_attributes SET value_json = :new WHERE study_id = :study AND key = :key AND value_json = :old"
)


class DatabaseAwayError(disk.UnwritableError):
    """The database stayed away for longer than `disk.PATIENCE`."""


class Database(RDBStorage):
    """The studies of one database. For whoever listens, every call waits for it up to `disk.PATIENCE` seconds."""

    def __init__(self, url: str, say: Say | None = None) -> None:
        # The checks were made by `set_up`.
        super().__init__(template(url), arguments(url), skip_compatibility_check=True, skip_table_creation=True)
        self.place, self._full_url, self._away = shown(url), url, False
        self._say = say or (lambda text: None)
        self._patience = disk.PATIENCE if say is not None else 0.0
        event.listen(self.engine, "handle_error", raise_away)

    @classmethod
    def connect(cls, url: str, say: Say | None = None, *, create: bool = False) -> Database | None:
        """Open a database; None where it holds no studies and is not to be set up for them.

        Raises:
            WorkError: it cannot be reached, or was set up by another version of Optuna.
        """
        if not has_tables(url) and not create:
            return None
        set_up(url)
        return cls(url, say)

    def close(self) -> None:
        """Give the connection back."""
        self.remove_session()
        self.engine.dispose()

    # -- patience

    def _again(self, call: Callable[[], T]) -> T:
        """Do a call; while the database is away, wait and do it again.

        Raises:
            DatabaseAwayError: `disk.PATIENCE` seconds of attempts were not enough.
        """
        start = time.monotonic()
        while True:
            try:
                result = call()
            except AwayError as error:
                if time.monotonic() - start >= self._patience:
                    patience, self._patience = self._patience, 0.0  # whoever ends the search shall not wait again
                    waited = f"stayed away for {patience:.0f} s" if patience else "is away"
                    raise DatabaseAwayError(f"the database {self.place} {waited} ({error})") from None
                if not self._away:
                    self._away = True
                    self._say(f"the database {self.place} is away: paused for up to {self._patience:.0f} s ({error})")
                time.sleep(disk.PAUSE)
            else:
                if self._away:
                    self._away = False
                    self._say(f"the database {self.place} is back: the search goes on")
                return result

    # -- beginning

    def identity(self, name: str) -> str | None:
        """The identity that a study's search gave it; empty where a kill came before; None without such a study."""
        found = [study.user_attrs for study in self._again(self.get_all_studies) if study.study_name == name]
        return found[0].get(IDENTITY, "") if found else None

    def begin(self, name: str, objective: Objective) -> None:
        """A new study; one that a kill left without an identity and without trials is taken for it.

        Raises:
            UserError: another search has one of this name.
        """
        try:
            self._again(partial(self.create_new_study, [direction(objective)], name))
        except DuplicatedStudyError:
            if self.identity(name) or self.get_all_trials(self.get_study_id_from_name(name)):
                raise taken(self._full_url, name) from None

    def exchange(self, study: int, key: str, old: Any, new: Any) -> bool:
        """Replace a note if it still is `old` (None: not there), in one step; whether it was."""
        if old is None:
            if key in self.get_study_user_attrs(study):
                return False
            self.set_study_user_attr(study, key, new)  # of two at once, one is ignored: unique by study and key
            return bool(self.get_study_user_attrs(study).get(key) == new)
        values = {"study": study, "key": key, "old": json.dumps(old), "new": json.dumps(new)}
        return self._again(partial(self._exchange, values))

    def _exchange(self, values: dict[str, Any]) -> bool:
        with self.engine.begin() as connection:
            return connection.execute(_EXCHANGE, values).rowcount == 1

    # -- writes, each a transaction of its own

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Enter a trial whole. Where the answer was lost, look whether it is there before entering it again."""
        enter, tried = super().create_new_trial, False

        def call() -> int:
            nonlocal tried
            if tried and template_trial is not None and (twin := self._twin(study_id, template_trial)) is not None:
                return twin
            tried = True
            return enter(study_id, template_trial)

        return self._again(call)

    def _twin(self, study_id: int, trial: FrozenTrial) -> int | None:
        """The newest trial if it is this one: no configuration is tried twice, so it was entered just now."""
        trials = super().get_all_trials(study_id, deepcopy=False)
        same = trials and trials[-1].state is trial.state and trials[-1].user_attrs == trial.user_attrs
        return trials[-1]._trial_id if same else None

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set a trial's state and values; the same end again is no error."""
        try:
            return self._again(partial(super().set_trial_state_values, trial_id, state, values))
        except UpdateFinishedTrialError:
            if self.get_trial(trial_id).state is not state:
                raise
            return True

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Note something about a study."""
        self._again(partial(super().set_study_user_attr, study_id, key, value))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note something about a trial."""
        self._again(partial(super().set_trial_user_attr, trial_id, key, value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note something of Optuna's about a trial."""
        self._again(partial(super().set_trial_system_attr, trial_id, key, value))

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Report a value."""
        self._again(partial(super().set_trial_intermediate_value, trial_id, step, intermediate_value))

    # -- reads

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Every trial by number."""
        return self._again(partial(super().get_all_trials, study_id, deepcopy, states))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        return self._again(partial(super().get_trial, trial_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """What is noted about a study."""
        return self._again(partial(super().get_study_user_attrs, study_id))

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """A trial's key in the database."""
        return self._again(partial(super().get_trial_id_from_study_id_trial_number, study_id, trial_number))
