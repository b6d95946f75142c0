"""A search in Optuna's terms: domains as distributions, objectives as directions, ends as states (optuna >=5,<6)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState

from search_spaces import Choice, Config, Domain, Float, Space
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.spec.metric import Objective

CONSTRAINT_PREFIX = (
    "constraints:"  # the key under which `Trial.set_constraint(name, value)` keeps a value (an internal)
)
STATES = {Status.COMPLETED: TrialState.COMPLETE, Status.FAILED: TrialState.FAIL}  # every other end is PRUNED


def distribution(domain: Domain) -> BaseDistribution:
    """The distribution of a domain."""
    if isinstance(domain, Choice):
        return CategoricalDistribution([label(domain, value) for value in domain.options])
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def label(domain: Choice, value: Any) -> Any:
    """A choice in the study: as it is where all choices are texts or all are numbers, else as JSON.

    Optuna confuses True with 1, and has no lists or mappings.
    """
    texts = all(isinstance(option, str) for option in domain.options)
    numbers = all(isinstance(option, int | float) and not isinstance(option, bool) for option in domain.options)
    return value if texts or numbers else json.dumps(value, sort_keys=True)


def sole_value(one: BaseDistribution) -> Any:
    """The only value of a distribution."""
    assert one.single()
    return one.choices[0] if isinstance(one, CategoricalDistribution) else one.low  # type: ignore[attr-defined]


def value_of(domain: Domain, proposed: Any) -> Any:
    """The value of a domain for what a sampler draws from its distribution."""
    if isinstance(domain, Choice):
        return domain.options[[label(domain, option) for option in domain.options].index(proposed)]
    return proposed


def params(space: Space, config: Config) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """A configuration as Optuna's parameters and distributions."""
    domains: Mapping[str, Domain] = {field: space.domains[field] for field in config}
    values = {
        field: label(domain, config[field]) if isinstance(domain, Choice) else config[field]
        for field, domain in domains.items()
    }
    return values, {field: distribution(domain) for field, domain in domains.items()}


def directions(objective: Objective) -> list[StudyDirection]:
    """The objectives as Optuna knows them."""
    known = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
    return [known[metric.goal] for metric in objective.every]


def final_state(trial: TrialRecord, objective: Objective, *, pruned: bool) -> tuple[TrialState, list[float] | None]:
    """How Optuna sees a trial that has ended: its state, and if that is COMPLETE its values.

    With `pruned=False`, one that was stopped is COMPLETE too: Optuna does not prune with several objectives.
    """
    state = STATES.get(trial.status, TrialState.PRUNED)
    if state is TrialState.PRUNED and not pruned and not trial.status.bad:
        state = TrialState.COMPLETE
    if state is not TrialState.COMPLETE:
        return state, None
    result = trial.result(objective)
    if result is None or objective.costs(result) is None:
        return TrialState.FAIL, None  # Optuna knows no COMPLETE without a value; the outcome says what happened
    return state, [result[metric.name] for metric in objective.every]


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna's own log lines are for its own users."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
