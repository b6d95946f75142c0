"""Our domains as Optuna's distributions; the few of Optuna's internals that we rely on stand here (optuna >=5,<6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna import Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces import Choice, Config, Domain, Float, Space

CONSTRAINT_PREFIX = "constraints:"  # the key under which `Trial.set_constraint(name, value)` keeps a value


def distribution(domain: Domain) -> BaseDistribution:
    """The distribution of a domain."""
    if isinstance(domain, Choice):
        return CategoricalDistribution([label(domain, value) for value in domain.options])
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def label(domain: Choice, value: Any) -> Any:
    """How a choice is written in the study: as it is where all are texts or all are numbers, else as JSON.

    Optuna takes True for 1, and has no lists or mappings.
    """
    texts = all(isinstance(option, str) for option in domain.options)
    numbers = all(isinstance(option, int | float) and not isinstance(option, bool) for option in domain.options)
    return value if texts or numbers else json.dumps(value, sort_keys=True)


def suggest(trial: Trial, field: str, domain: Domain) -> Any:
    """The value that a sampler proposes for a field."""
    if isinstance(domain, Choice):
        labels = [label(domain, option) for option in domain.options]
        return domain.options[labels.index(trial.suggest_categorical(field, labels))]
    if isinstance(domain, Float):
        return trial.suggest_float(field, domain.low, domain.high, log=domain.log, step=domain.step)
    return trial.suggest_int(field, domain.low, domain.high, log=domain.log, step=domain.step)


def params(space: Space, config: Config) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """A configuration as Optuna's parameters and distributions."""
    domains: Mapping[str, Domain] = {field: space.domains[field] for field in config}
    values = {
        field: label(domain, config[field]) if isinstance(domain, Choice) else config[field]
        for field, domain in domains.items()
    }
    return values, {field: distribution(domain) for field, domain in domains.items()}
