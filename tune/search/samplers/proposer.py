"""The sampler's view of a search, and the drawing of configurations that are possible, wanted and new.

The record and the sampler are apart: a view in memory is built from the record and fed as the search goes on, and each
draw uses a sampler seeded by (search seed, trial number, attempt), so that a killed and resumed search draws the same.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces import Config, Space, config_key
from tune.record.distributions import CONSTRAINT_PREFIX, distribution, params, sole_value, value_of
from tune.record.status import Status
from tune.record.study import STATES, TrialRecord, direction
from tune.search.samplers.view import View
from tune.search.seeds import derived_seed
from tune.spec.metric import Objective
from tune.spec.search import SamplerSpec

VIEW = "view"  # the name of the study in memory
SAMPLER_ATTEMPTS = 100  # draws of the sampler for one trial before drawing at random
RANDOM_ATTEMPTS = 1000  # random draws before an endless space counts as exhausted
ENUMERABLE = 20_000  # spaces of at most so many points are searched through for one that is left

Check = Callable[[Config], Mapping[str, Any] | None]
"""Facts about a configuration (parameters, mult_adds), or None where it is impossible or outside the constraints."""


@dataclass(frozen=True)
class Proposal:
    """A configuration that may be tried, and what is known about it."""

    config: Config
    facts: Mapping[str, Any]


class Proposer:
    """Proposes configurations; none twice."""

    def __init__(self, space: Space, spec: SamplerSpec, seed: int, objective: Objective, check: Check) -> None:
        self._space, self._spec, self._seed, self._check = space, spec, seed, check
        self._had: set[str] = set()
        self._storage = View(1 if objective.metric.goal == "min" else -1)
        self._storage.create_new_study([direction(objective)], VIEW)
        # The trial that every draw is for. It never ends, and samplers leave the one they draw for out of account.
        self._asking = self._storage.create_new_trial(self._storage.get_study_id_from_name(VIEW))
        self._ids: dict[int, int] = {}

    # -- what the sampler is told

    def see(self, trial: TrialRecord, objective: Objective) -> None:
        """Put a trial of the record, as it stands, into the view."""
        self.enter(trial.number, trial.config)
        metric = objective.metric.name
        for epoch in trial.epochs:
            if metric in epoch.values:
                self.report(trial.number, epoch.epoch, epoch.values[metric])
        if trial.status.ended:
            best = trial.best(objective)
            self.end(trial.number, trial.status, best.values[metric] if best else None)

    def enter(self, number: int, config: Config) -> None:
        """A trial exists: its configuration will not be proposed again, and counts as under way."""
        self._had.add(config_key(config))
        values, distributions = params(self._space, config)
        trial = create_trial(state=TrialState.RUNNING, params=values, distributions=distributions)
        study = self._storage.get_study_id_from_name(VIEW)
        self._ids[number] = self._storage.create_new_trial(study, template_trial=trial)

    def report(self, number: int, epoch: int, value: float) -> None:
        """An epoch's value of the metric."""
        self._storage.set_trial_intermediate_value(self._ids[number], epoch, value)

    def end(self, number: int, status: Status, best: float | None) -> None:
        """A trial's end, as the sampler can use it; see `Record.end`."""
        identity = self._ids[number]
        if status.bad:
            self._storage.set_trial_system_attr(identity, f"{CONSTRAINT_PREFIX}{status}", 1.0)
        state = STATES.get(status, TrialState.PRUNED)
        complete = state is TrialState.COMPLETE and best is not None
        if state is TrialState.COMPLETE and not complete:
            state = TrialState.FAIL
        self._storage.set_trial_state_values(identity, state, [best] if complete and best is not None else None)

    # -- drawing

    def propose(self, number: int) -> Proposal | None:
        """A configuration for the trial of this number; None where the space is exhausted."""
        for attempt in range(SAMPLER_ATTEMPTS):
            if (proposal := self._accept(self._draw(number, attempt))) is not None:
                return proposal
        source = random.Random(derived_seed(self._seed, number, SAMPLER_ATTEMPTS))
        limit = self._space.size_limit
        if limit is not None and limit <= ENUMERABLE:
            left = [config for config in self._space.enumerate() if config_key(config) not in self._had]
            source.shuffle(left)
        else:
            left = [self._space.draw(source) for _ in range(RANDOM_ATTEMPTS)]
        return next((proposal for config in left if (proposal := self._accept(config))), None)

    def validate(self, config: Config) -> Proposal | None:
        """A configuration named by the user, if it is possible and new."""
        return self._accept(config)

    def _accept(self, config: Config) -> Proposal | None:
        config = self._space.canonical(config)
        if config_key(config) in self._had:
            return None
        facts = self._check(config)
        return None if facts is None else Proposal(config, facts)

    def _draw(self, number: int, attempt: int) -> Config:
        """One draw. Nothing of it stays in the view: only what enters counts."""
        sampler = self._sampler(derived_seed(self._seed, number, attempt))
        view = optuna.load_study(study_name=VIEW, storage=self._storage, sampler=sampler)
        asking = self._storage.get_trial(self._asking)
        drawn = sampler.sample_relative(view, asking, sampler.infer_relative_search_space(view, asking))
        config: Config = {}
        for field, domain in self._space.domains.items():
            if self._space.in_play(field, config):
                one = distribution(domain)
                if one.single():
                    drawn[field] = sole_value(one)
                elif field not in drawn:
                    drawn[field] = sampler.sample_independent(view, asking, field, one)
                config[field] = domain.canonical(value_of(domain, drawn[field]))
        return config

    def _sampler(self, seed: int) -> BaseSampler:
        if self._spec.name == "random":
            return RandomSampler(seed=seed)
        if not any(domain.when for domain in self._space.domains.values()):
            return FixedSpaceTPE(self._space, seed=seed, n_startup_trials=self._spec.startup_trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group: needed for conditions
            return TPESampler(seed=seed, n_startup_trials=self._spec.startup_trials, group=True)


class FixedSpaceTPE(TPESampler):
    """TPE over a space without conditions, which it is told; Optuna's looks for it in all trials at every draw."""

    def __init__(self, space: Space, **options: Any) -> None:
        super().__init__(**options)
        every = {field: distribution(domain) for field, domain in sorted(space.domains.items())}
        self._fields = {field: one for field, one in every.items() if not one.single()}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every field that has more than one value; all are drawn together."""
        return self._fields
