"""Samplers that Optuna has, asked through a study in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces import Config
from tune.record.distributions import CONSTRAINT_PREFIX, distribution, params, sole_value, value_of
from tune.record.study import STATES, direction
from tune.record.trial import TrialRecord
from tune.search.samplers.sampler import Task
from tune.search.seeds import derived_seed

NAME = "view"  # the name of the study that samplers see
ATTEMPTS = 100  # draws for one trial

MakeSampler = Callable[[Task, int], BaseSampler]
"""(task, seed) -> a sampler. It is used for a single draw."""


class OptunaSampler:
    """Asks one of Optuna's samplers, made anew for every draw with a seed of its own: it can remember nothing."""

    def __init__(self, task: Task, make: MakeSampler) -> None:
        self._task, self._make = task, make
        self._storage = InMemoryStorage()
        self._study = self._storage.create_new_study([direction(task.objective)], NAME)
        # The trial that every draw is for. It never ends; samplers ignore the trial that they draw for.
        self._asking = self._storage.create_new_trial(self._study)
        self._ids: dict[int, int] = {}
        self._seen: dict[int, TrialRecord] = {}

    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        """As `Sampler.proposals`."""
        for trial in trials:
            if self._seen.get(trial.number) is not trial:
                self._see(trial)
        for attempt in range(ATTEMPTS):
            yield self._draw(derived_seed(self._task.seed, number, attempt))

    def _see(self, trial: TrialRecord) -> None:
        """Bring the study up to date with a trial."""
        metric = self._task.objective.metric.name
        if trial.number not in self._ids:
            values, distributions = params(self._task.space, trial.config)
            new = create_trial(state=TrialState.RUNNING, params=values, distributions=distributions)
            self._ids[trial.number] = self._storage.create_new_trial(self._study, template_trial=new)
        identity = self._ids[trial.number]
        before = self._seen.get(trial.number)
        for epoch in trial.epochs[len(before.epochs) if before else 0 :]:
            if metric in epoch.values:
                self._storage.set_trial_intermediate_value(identity, epoch.epoch, epoch.values[metric])
        if trial.status.ended and not (before and before.status.ended):
            self._end(identity, trial)
        self._seen[trial.number] = trial

    def _end(self, identity: int, trial: TrialRecord) -> None:
        """End a trial in the form that samplers understand, as `Record.end` does."""
        if trial.status.bad:
            self._storage.set_trial_system_attr(identity, f"{CONSTRAINT_PREFIX}{trial.status}", 1.0)
        state, best = STATES.get(trial.status, TrialState.PRUNED), trial.best(self._task.objective)
        if state is TrialState.COMPLETE and best is None:
            state = TrialState.FAIL
        complete = state is TrialState.COMPLETE and best is not None
        values = [best.values[self._task.objective.metric.name]] if complete and best is not None else None
        self._storage.set_trial_state_values(identity, state, values)

    def _draw(self, seed: int) -> Config:
        """One draw, which leaves nothing behind in the study."""
        sampler = self._make(self._task, seed)
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


class FixedSpaceTPE(TPESampler):
    """TPE over a space without conditions. Optuna's infers the space from all trials, at every draw."""

    def __init__(self, task: Task, **options: Any) -> None:
        super().__init__(**options)
        every = {field: distribution(domain) for field, domain in sorted(task.space.domains.items())}
        self._fields = {field: one for field, one in every.items() if not one.single()}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every field that has more than one value; all are drawn together."""
        return self._fields


def tpe(task: Task) -> OptunaSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011); random for the first `startup_trials`."""

    def make(task: Task, seed: int) -> BaseSampler:
        if not any(domain.when for domain in task.space.domains.values()):
            return FixedSpaceTPE(task, seed=seed, n_startup_trials=task.spec.startup_trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group: needed for conditions
            return TPESampler(seed=seed, n_startup_trials=task.spec.startup_trials, group=True)

    return OptunaSampler(task, make)


def uniform(task: Task) -> OptunaSampler:
    """Random search."""
    return OptunaSampler(task, lambda task, seed: RandomSampler(seed=seed))
