"""Optuna's storage in a database, as steady as the journal: waits while the database is away, repeats no write twice.

What Optuna's own leaves open (optuna >=5,<6): its retries could enter a trial twice when the answer to a commit is
lost; an end that is repeated raises; a lost connection ends the program.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event, exc, text

from tune.record import disk
from tune.record.storage.connection import arguments, check_tables, database_line, has_tables, template
from tune.record.storage.url import shown

P = ParamSpec("P")
T = TypeVar("T")

_TEMPORARY = (exc.OperationalError, exc.InterfaceError, exc.InternalError)
_EXCHANGE = text(
    "UPDATE study_user_attributes SET value_json = :new WHERE study_id = :study AND key = :key AND value_json = :old"
)


class DatabaseAwayError(disk.UnwritableError):
    """The database stayed away for longer than `disk.PATIENCE`."""


class AwayError(Exception):
    """The database does not answer now. None of SQLAlchemy's errors: Optuna's own handling lets it pass."""


def _raise_away(context: Any) -> None:
    """For SQLAlchemy's event `handle_error`: lost connections and other temporary errors as `AwayError`."""
    if context.is_disconnect or isinstance(context.sqlalchemy_exception, _TEMPORARY):
        raise AwayError(database_line(context.original_exception))


def _waiting(call: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """A method that is called again while the database is away."""

    @functools.wraps(call)
    def inner(self: Any, /, *args: P.args, **options: P.kwargs) -> T:
        result: T = self.retry(partial(call, self, *args, **options))
        return result

    return inner


class Database(RDBStorage):
    """The studies of one database.

    Args:
        url: As `study_url` gives it. Its tables exist, see `connect`.
        say: Called with a line about waits; without it, there is no waiting.
    """

    def __init__(self, url: str, say: Callable[[str], None] | None = None) -> None:
        super().__init__(template(url), arguments(url), skip_compatibility_check=True, skip_table_creation=True)
        self.place, self._away = shown(url), False
        self._say = say or (lambda text: None)
        self._patience = disk.PATIENCE if say is not None else 0.0
        event.listen(self.engine, "handle_error", _raise_away)

    @classmethod
    def connect(cls, url: str, say: Callable[[str], None] | None = None, *, create: bool = False) -> Database | None:
        """Open a database; None where it has no studies and no tables are to be created.

        Raises:
            WorkError: it cannot be reached, or its tables are of another version of Optuna.
        """
        if not has_tables(url) and not create:
            return None
        check_tables(url, create=create)
        return cls(url, say)

    def close(self) -> None:
        """Close the connection."""
        self.remove_session()
        self.engine.dispose()

    def retry(self, call: Callable[[], T]) -> T:
        """Call; while the database is away, wait and call again.

        Raises:
            DatabaseAwayError: `disk.PATIENCE` seconds of attempts were not enough.
        """
        start = time.monotonic()
        while True:
            try:
                result = call()
            except AwayError as error:
                if time.monotonic() - start >= self._patience:
                    patience, self._patience = self._patience, 0.0  # what ends the search must not wait again
                    waited = f"did not answer for {patience:.0f} s" if patience else "does not answer"
                    raise DatabaseAwayError(f"the database {self.place} {waited} ({error})") from None
                if not self._away:
                    self._away = True
                    waits = f"waiting up to {self._patience:.0f} s"
                    self._say(f"the database {self.place} does not answer; {waits} ({error})")
                time.sleep(disk.PAUSE)
            else:
                if self._away:
                    self._away = False
                    self._say(f"the database {self.place} answers again; resuming")
                return result

    # -- writes, each a transaction of its own

    create_new_study = _waiting(RDBStorage.create_new_study)
    set_study_user_attr = _waiting(RDBStorage.set_study_user_attr)
    set_trial_user_attr = _waiting(RDBStorage.set_trial_user_attr)
    set_trial_system_attr = _waiting(RDBStorage.set_trial_system_attr)
    set_trial_intermediate_value = _waiting(RDBStorage.set_trial_intermediate_value)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Add a trial. Where the answer was lost, look whether it was added before adding it again."""
        add, tried = super().create_new_trial, False

        def call() -> int:
            nonlocal tried
            if tried and template_trial is not None and (twin := self._twin(study_id, template_trial)) is not None:
                return twin
            tried = True
            return add(study_id, template_trial)

        return self.retry(call)

    def _twin(self, study_id: int, trial: FrozenTrial) -> int | None:
        """The newest trial if it is this one: no configuration is tried twice, so it was added just now."""
        trials = super().get_all_trials(study_id, deepcopy=False)
        same = trials and trials[-1].state is trial.state and trials[-1].user_attrs == trial.user_attrs
        return trials[-1]._trial_id if same else None

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set a trial's state and values. Where the answer was lost, the trial may have ended already."""
        change, tried = super().set_trial_state_values, False

        def call() -> bool:
            nonlocal tried
            again, tried = tried, True
            try:
                return change(trial_id, state, values)
            except UpdateFinishedTrialError:
                if not again or self.get_trial(trial_id).state is not state:
                    raise
                return True

        return self.retry(call)

    def exchange(self, study: int, key: str, old: Any, new: Any) -> bool:
        """Replace a study's attribute if it is still `old` (None: missing), in one step; whether it was."""
        if old is None:
            if key in self.get_study_user_attrs(study):
                return False
            self.set_study_user_attr(study, key, new)  # of two at once, one is ignored: unique by study and key
            return bool(self.get_study_user_attrs(study).get(key) == new)
        values = {"study": study, "key": key, "old": json.dumps(old), "new": json.dumps(new)}
        return self.retry(partial(self._exchange, values))

    def _exchange(self, values: dict[str, Any]) -> bool:
        with self.engine.begin() as connection:
            return connection.execute(_EXCHANGE, values).rowcount == 1

    # -- reads

    get_all_studies = _waiting(RDBStorage.get_all_studies)
    get_all_trials = _waiting(RDBStorage.get_all_trials)
    get_trial = _waiting(RDBStorage.get_trial)
    get_study_id_from_name = _waiting(RDBStorage.get_study_id_from_name)
    get_study_user_attrs = _waiting(RDBStorage.get_study_user_attrs)
    get_trial_id_from_study_id_trial_number = _waiting(RDBStorage.get_trial_id_from_study_id_trial_number)
