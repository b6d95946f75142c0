"""Samplers that Optuna has, asked through a study in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces import Config
from tune.record.as_optuna import CONSTRAINT_PREFIX, directions, distribution, final_state, params, sole_value, value_of
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.samplers.sampler import RANDOM_START, Sampler, Task
from tune.spec.search import derived_seed

NAME = "view"  # the name of the study that samplers see
NUMBER = "number"  # the key of a trial's number in the search, which differs from that in the study
ATTEMPTS = 100  # draws for one trial

MakeSampler = Callable[[Task, int, int], BaseSampler]
"""(task, number of the new trial, seed) -> a sampler. It is used for a single draw."""


class OptunaSampler(Sampler):
    """Asks one of Optuna's samplers, made anew for every draw with a seed of its own: it can remember nothing."""

    def __init__(self, task: Task, make: MakeSampler, *, kind: str = "", startup: int = 0, pruned: bool = True) -> None:
        """With `pruned=False`, trials that were stopped or paused count as complete with their best value."""
        self._task, self._make = task, make
        self._pruned = pruned and not task.objective.several
        self._kind, self.startup = kind, startup
        self._forget()

    def _forget(self) -> None:
        self._storage = InMemoryStorage()
        self._study = self._storage.create_new_study(directions(self._task.objective), NAME)
        # The trial that every draw is for. It never ends; samplers ignore the trial that they draw for.
        self._asking = self._storage.create_new_trial(self._study)
        self._ids: dict[int, int] = {}
        self._seen: dict[int, TrialRecord] = {}

    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        """As `Sampler.proposals`."""
        if any(self._goes_on(trial) for trial in trials):
            self._forget()  # a study's trials cannot be changed once they have ended
        for trial in trials:
            if self._seen.get(trial.number) is not trial:
                self._see(trial)
        self.kind = self._kind or (RANDOM_START if number < self.startup else self._task.spec.name)
        for attempt in range(ATTEMPTS):
            yield self._draw(number, derived_seed(self._task.seed, number, attempt))

    def _goes_on(self, trial: TrialRecord) -> bool:
        """Whether a trial that was paused has been promoted since."""
        before = self._seen.get(trial.number)
        return (
            before is not None
            and before.status is Status.PAUSED
            and len(trial.epochs) + (not _over(trial)) > len(before.epochs)
        )

    def _see(self, trial: TrialRecord) -> None:
        """Bring the study up to date with a trial."""
        before = self._seen.get(trial.number)
        self._seen[trial.number] = trial
        if before is None:
            self._ids[trial.number] = self._storage.create_new_trial(self._study, self._as_optuna(trial))
            return
        identity = self._ids[trial.number]
        for epoch, value in self._values(trial, len(before.epochs)).items():
            self._storage.set_trial_intermediate_value(identity, epoch, value)
        if _over(trial) and not _over(before):
            for name, value in _violations(trial).items():
                self._storage.set_trial_system_attr(identity, name, value)
            self._storage.set_trial_state_values(identity, *self._final(trial))

    def _as_optuna(self, trial: TrialRecord) -> FrozenTrial:
        """The whole trial at once: with each value that is set, the storage copies the trial."""
        state, values = self._final(trial) if _over(trial) else (TrialState.RUNNING, None)
        fields, distributions = params(self._task.space, trial.config)
        return create_trial(
            state=state,
            values=values,
            params=fields,
            distributions=distributions,
            user_attrs={NUMBER: trial.number},
            system_attrs=_violations(trial),
            intermediate_values=self._values(trial),
        )

    def _values(self, trial: TrialRecord, known: int = 0) -> dict[int, float]:
        """The metric after each epoch but those that are known."""
        metric = self._task.objective.metric.name
        return {one.epoch: one.values[metric] for one in trial.epochs[known:] if metric in one.values}

    def _final(self, trial: TrialRecord) -> tuple[TrialState, list[float] | None]:
        """How a trial ends in the form that samplers understand, as in the record; a paused one as a stopped one."""
        return final_state(trial, self._task.objective, pruned=self._pruned)

    def _draw(self, number: int, seed: int) -> Config:
        """One draw, which leaves nothing behind in the study."""
        sampler = self._make(self._task, number, seed)
        study = optuna.load_study(study_name=NAME, storage=self._storage, sampler=sampler)
        asking = self._storage.get_trial(self._asking)
        drawn = sampler.sample_relative(study, asking, sampler.infer_relative_search_space(study, asking))
        config: Config = {}
        for field, domain in self._task.space.domains.items():
            if self._task.space.in_play(field, config):
                one = distribution(domain)
                if one.single():
                    drawn[field] = sole_value(one)
                elif field not in drawn:
                    drawn[field] = sampler.sample_independent(study, asking, field, one)
                config[field] = domain.canonical(value_of(domain, drawn[field]))
        return config


def _over(trial: TrialRecord) -> bool:
    """Whether the trial has shown what it is worth for now."""
    return trial.status.ended or trial.status is Status.PAUSED


def _violations(trial: TrialRecord) -> dict[str, float]:
    """What a sampler that knows constraints is told of a trial that failed."""
    return {f"{CONSTRAINT_PREFIX}{trial.status}": 1.0} if trial.status.bad else {}
