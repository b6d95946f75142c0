"""A search's record for programs that must not write to it: the process that runs the search is its only writer."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy  # the type in Optuna's own signatures, not re-exported
from optuna.trial import FrozenTrial, TrialState


class ReadOnlyError(RuntimeError):
    """Something was to be written."""


class ReadOnlyStorage(BaseStorage):
    """One study of a storage, which cannot be changed.

    Args:
        storage: Where it is.
        study: Its identity there; others are not shown.
        metrics: What Optuna's tools are to call its values.
    """

    def __init__(self, storage: BaseStorage, study: int, metrics: Sequence[str]) -> None:
        self._storage, self._study, self._metrics = storage, study, list(metrics)

    # -- reads

    def get_all_studies(self) -> list[FrozenStudy]:
        """The one study."""
        (study,) = (study for study in self._storage.get_all_studies() if study._study_id == self._study)
        study = copy.copy(study)  # the storage may keep it
        study.system_attrs = self.get_study_system_attrs(self._study)
        return [study]

    def get_study_id_from_name(self, study_name: str) -> int:
        """As in the storage."""
        return self._storage.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """As in the storage."""
        return self._storage.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """As in the storage."""
        return self._storage.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """As in the storage."""
        return self._storage.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """As in the storage, and the metrics' names as `Study.set_metric_names` would set them."""
        return {**self._storage.get_study_system_attrs(study_id), "study:metric_names": self._metrics}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """As in the storage."""
        return self._storage.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As in the storage."""
        return self._storage.get_all_trials(study_id, deepcopy, states)

    # -- writes

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Refused."""
        _refuse()

    def delete_study(self, study_id: int) -> None:
        """Refused."""
        _refuse()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Refused."""
        _refuse()

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Refused."""
        _refuse()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Refused."""
        _refuse()

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Refused."""
        _refuse()

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Refused."""
        _refuse()

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Refused."""
        _refuse()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Refused."""
        _refuse()

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Refused."""
        _refuse()


def _refuse() -> NoReturn:
    raise ReadOnlyError("the record of a search is read-only here; only the search itself writes to it")
