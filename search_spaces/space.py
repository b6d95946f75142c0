"""A space: the free fields of an experiment, each with its domain, and the order in which they are drawn."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.domains import Domain, parse, same
from search_spaces.errors import SpaceError

Config = dict[str, Any]
"""Dotted field -> value, for the fields in play."""


@dataclass(frozen=True)
class Space:
    """The free fields, parents before the fields whose `when` names them.

    `fixed` holds the values of fields that conditions name and that are not searched.
    """

    domains: Mapping[str, Domain]
    fixed: Mapping[str, Any]

    def in_play(self, field: str, config: Mapping[str, Any]) -> bool:
        """Whether `field` is drawn, given the values drawn before it. A field that is idle makes its children idle."""
        for parent, values in self.domains[field].when:
            if parent in self.domains and parent not in config:
                return False
            value = config.get(parent, self.fixed.get(parent))
            if not any(same(value, wanted) for wanted in values):
                return False
        return True

    def canonical(self, config: Mapping[str, Any]) -> Config:
        """The configuration without idle fields, in the space's order, floats rounded: equal ones look equal."""
        result: Config = {}
        for field, domain in self.domains.items():
            if field in config and self.in_play(field, result):
                result[field] = domain.canonical(config[field])
        return result

    def problems(self, config: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Why a configuration named by hand is not one of this space: pairs (field, what is wrong)."""
        found = [(field, "is not a field of this space") for field in config if field not in self.domains]
        known: Config = {}
        for field, domain in self.domains.items():
            if not self.in_play(field, known):
                if field in config:
                    found.append((field, f"{config[field]!r} is given, but its `when` does not hold"))
                continue
            if field not in config:
                found.append((field, "is missing"))
            elif not domain.contains(config[field]):
                found.append((field, f"{config[field]!r} is outside of its domain"))
            known[field] = config.get(field, domain.first)
        return found

    def draw(self, source: random.Random) -> Config:
        """One configuration at random."""
        config: Config = {}
        for field, domain in self.domains.items():
            if self.in_play(field, config):
                config[field] = domain.draw(source)
        return config

    @property
    def size_limit(self) -> int | None:
        """At most how many configurations there are (idle fields counted as if in play); None where endless."""
        sizes = [domain.size for domain in self.domains.values()]
        return None if None in sizes else math.prod(size or 0 for size in sizes)

    def enumerate(self) -> Iterator[Config]:
        """Every configuration once, in a fixed order. Only for spaces with a `size_limit`."""
        seen: set[str] = set()
        fields = list(self.domains)
        for values in itertools.product(*(domain.values() for domain in self.domains.values())):
            config = self.canonical(dict(zip(fields, values, strict=True)))
            if (key := config_key(config)) not in seen:
                seen.add(key)
                yield config


def config_key(config: Mapping[str, Any]) -> str:
    """A text that two configurations share exactly when they are the same."""
    return json.dumps(dict(config), sort_keys=True)


def parse_space(raw: Any, fixed: Mapping[str, Any]) -> tuple[Space, list[tuple[str, str]]]:
    """A space from its YAML mapping, and all that is wrong with it as pairs (field, what is wrong).

    `fixed` maps the dotted fields that are not searched to their values, so that a `when` may name them.
    """
    if not isinstance(raw, Mapping):
        return Space({}, fixed), [("", f"{raw!r} is not a mapping of dotted field names to domains")]
    domains: dict[str, Domain] = {}
    found: list[tuple[str, str]] = []
    for field, value in raw.items():
        try:
            domains[str(field)] = parse(value)
        except SpaceError as error:
            found.append((str(field), str(error)))
    for field, domain in domains.items():
        for parent, values in domain.when:
            if parent in raw and parent not in domains:
                continue  # the parent's own domain is wrong, and said
            found += [(field, f"when: {problem}") for problem in _condition_problems(parent, values, domains, fixed)]
    ordered, in_circle = _parents_first(domains)
    found += [(field, "its `when` conditions lead back to itself") for field in in_circle]
    return Space(ordered, fixed), found


def _condition_problems(
    parent: str, values: tuple[Any, ...], domains: Mapping[str, Domain], fixed: Mapping[str, Any]
) -> list[str]:
    if parent in domains:
        legal = domains[parent]
        return [f"{parent} can never be {value!r}" for value in values if not legal.contains(value)]
    return [] if parent in fixed else [f"there is no field {parent}"]


def _parents_first(domains: Mapping[str, Domain]) -> tuple[dict[str, Domain], list[str]]:
    """The domains in an order in which each field follows those its conditions name; and the fields in a circle."""
    ordered: dict[str, Domain] = {}
    left = dict(domains)
    while left:
        ready = [field for field, domain in left.items() if not any(parent in left for parent, _ in domain.when)]
        if not ready:
            return ordered, list(left)
        ordered.update((field, left.pop(field)) for field in ready)
    return ordered, []


def shipped() -> dict[str, Path]:
    """The YAML files that come with imagetune: name -> path; `fixed/` holds experiments with nothing left free."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted([*folder.glob("*.yaml"), *folder.glob("fixed/*.yaml")])}
