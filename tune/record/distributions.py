"""Domains as Optuna's distributions, and the one internal of Optuna's that this relies on (optuna >=5,<6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
