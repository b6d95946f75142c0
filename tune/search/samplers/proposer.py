"""Proposes configurations that are new, possible and within the constraints.

Samplers do not see the record. They see a study in memory, which is rebuilt from the record and then kept up to date,
and every draw uses a new sampler seeded by (search seed, trial number, attempt): a killed and resumed search draws the
same configurations.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from search_spaces import Config, Space, config_key
from tune.record.distributions import CONSTRAINT_PREFIX, distribution, params, sole_value, value_of
from tune.record.status import Status
from tune.record.study import STATES, TrialRecord, direction
from tune.search.samplers.optuna_samplers import SAMPLERS
from tune.search.samplers.view import View
from tune.search.seeds import derived_seed
from tune.spec.metric import Objective
from tune.spec.search import SamplerSpec

VIEW = "view"  # the name of the study that samplers see
SAMPLER_ATTEMPTS = 100  # draws of the sampler for one trial before configurations are drawn at random
RANDOM_ATTEMPTS = 1000  # random draws before a large space counts as exhausted
ENUMERABLE = 20_000  # spaces with at most this many configurations are enumerated instead

Check = Callable[[Config], Mapping[str, Any] | None]
"""Facts about a configuration (parameters, mult_adds), or None if it is impossible or violates a constraint."""


@dataclass(frozen=True)
class Proposal:
    """A configuration to try, and what is known about it."""

    config: Config
    facts: Mapping[str, Any]


class Proposer:
    """Proposes configurations, each at most once."""

    def __init__(self, space: Space, spec: SamplerSpec, seed: int, objective: Objective, check: Check) -> None:
        self._space, self._spec, self._seed, self._check = space, spec, seed, check
        self._known: set[str] = set()  # configurations that trials have, by key
        self._storage = View(1 if objective.metric.goal == "min" else -1)
        self._storage.create_new_study([direction(objective)], VIEW)
        # The trial that every draw is for. It never ends; samplers ignore the trial that they draw for.
        self._asking = self._storage.create_new_trial(self._storage.get_study_id_from_name(VIEW))
        self._ids: dict[int, int] = {}

    # -- what the sampler is told

    def see(self, trial: TrialRecord, objective: Objective) -> None:
        """Add a recorded trial with its epochs, and its end if it has ended."""
        self.enter(trial.number, trial.config)
        metric = objective.metric.name
        for epoch in trial.epochs:
            if metric in epoch.values:
                self.report(trial.number, epoch.epoch, epoch.values[metric])
        if trial.status.ended:
            best = trial.best(objective)
            self.end(trial.number, trial.status, best.values[metric] if best else None)

    def enter(self, number: int, config: Config) -> None:
        """Add a running trial. Its configuration will not be proposed again."""
        self._known.add(config_key(config))
        values, distributions = params(self._space, config)
        trial = create_trial(state=TrialState.RUNNING, params=values, distributions=distributions)
        study = self._storage.get_study_id_from_name(VIEW)
        self._ids[number] = self._storage.create_new_trial(study, template_trial=trial)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Add the metric's value in an epoch of a trial."""
        self._storage.set_trial_intermediate_value(self._ids[number], epoch, value)

    def end(self, number: int, status: Status, best: float | None) -> None:
        """End a trial in the form that samplers understand, as `Record.end` does."""
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
        """A configuration for the trial of this number; None if the space is exhausted."""
        for attempt in range(SAMPLER_ATTEMPTS):
            if (proposal := self._accept(self._draw(number, attempt))) is not None:
                return proposal
        source = random.Random(derived_seed(self._seed, number, SAMPLER_ATTEMPTS))
        limit = self._space.size_limit
        if limit is not None and limit <= ENUMERABLE:
            left = [config for config in self._space.enumerate() if config_key(config) not in self._known]
            source.shuffle(left)
        else:
            left = [self._space.draw(source) for _ in range(RANDOM_ATTEMPTS)]
        return next((proposal for config in left if (proposal := self._accept(config))), None)

    def validate(self, config: Config) -> Proposal | None:
        """A configuration given by the user, if it is possible and new."""
        return self._accept(config)

    def _accept(self, config: Config) -> Proposal | None:
        config = self._space.canonical(config)
        if config_key(config) in self._known:
            return None
        facts = self._check(config)
        return None if facts is None else Proposal(config, facts)

    def _draw(self, number: int, attempt: int) -> Config:
        """One draw of the sampler, which leaves nothing behind in the study."""
        sampler = SAMPLERS[self._spec.name](self._space, self._spec, derived_seed(self._seed, number, attempt))
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
