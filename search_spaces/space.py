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

from search_spaces.domains import Condition, Domain, among
from search_spaces.errors import SpaceError, closest, nearest, shown
from search_spaces.notation import parse

Config = dict[str, Any]
"""Dotted field -> value, for the fields in play."""


@dataclass(frozen=True)
class Space:
    """The free fields, parents before the fields whose `when` names them.

    `fixed` holds the values of fields that are not searched, so that conditions may name them.
    """

    domains: Mapping[str, Domain]
    fixed: Mapping[str, Any]

    def in_play(self, field: str, config: Mapping[str, Any]) -> bool:
        """Whether `field` is drawn, given the values drawn before it. A field that is idle makes its children idle."""
        for parent, values in self.domains[field].when:
            if parent in self.domains and parent not in config:
                return False
            if not among(config.get(parent, self.fixed.get(parent)), values):
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
        found = [
            (str(field), f"is not a field of this space; {nearest(str(field), self.domains)}")
            for field in config
            if field not in self.domains
        ]
        known: Config = {}
        for field, domain in self.domains.items():
            if not self.in_play(field, known):
                if field in config:
                    found.append((field, f"{shown(config[field])} is given, but its `when` does not hold"))
                continue
            known[field] = domain.first
            if field not in config:
                found.append((field, f"is missing; legal: {domain.legal}"))
            elif not domain.contains(config[field]):
                found.append((field, f"{shown(config[field])} is outside of its domain; legal: {domain.legal}"))
            else:
                known[field] = domain.canonical(config[field])
        return found

    def draw(self, source: random.Random) -> Config:
        """One configuration at random."""
        config: Config = {}
        for field, domain in self.domains.items():
            if self.in_play(field, config):
                config[field] = domain.draw(source)
        return config

    def fill(self, chosen: Mapping[str, Any]) -> Config:
        """The configuration with the chosen values where their fields are in play, and else each domain's first."""
        config: Config = {}
        for field, domain in self.domains.items():
            if self.in_play(field, config):
                config[field] = chosen.get(field, domain.first)
        return config

    def premises(self, field: str) -> dict[str, tuple[Any, ...]]:
        """What must hold for `field` to be in play: its own conditions, and those of the fields that they name.

        Conditions on one field are joined to the values that meet all of them; where there are none, `field` never is.
        """
        needed: dict[str, tuple[Any, ...]] = {}
        for parent, values in self.domains[field].when:
            above = self.premises(parent) if parent in self.domains else {}
            for name, legal in [(parent, values), *above.items()]:
                needed[name] = tuple(value for value in needed.get(name, legal) if among(value, legal))
        return needed

    def blocker(self, field: str) -> str | None:
        """The field whose value keeps `field` out of play in every configuration; None where there is none."""
        for parent, values in self.premises(field).items():
            possible = values if parent in self.domains else [v for v in values if among(v, (self.fixed.get(parent),))]
            if not possible:
                return parent
        return None

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
        return Space({}, fixed), [("", f"{shown(raw)} is not a mapping of dotted field names to domains")]
    domains: dict[str, Domain] = {}
    found: list[tuple[str, str]] = []
    for field, value in raw.items():
        try:
            domains[str(field)] = parse(value)
        except SpaceError as error:
            found.append((str(field), str(error)))
    faulty = {field for field, _ in found}
    for field, domain in domains.items():
        named = tuple((parent, values) for parent, values in domain.when if parent not in faulty)
        found += [(field, f"when: {problem}") for problem in _condition_problems(named, domains, fixed)]
    ordered, stuck = _parents_first(domains)
    found += [(field, "its `when` conditions lead back to itself") for field in stuck if _leads_back(field, stuck)]
    return Space(ordered, fixed), found


def _condition_problems(when: Condition, domains: Mapping[str, Domain], fixed: Mapping[str, Any]) -> Iterator[str]:
    for parent, values in when:
        if parent in domains:
            legal = domains[parent]
            if legal.size is None:
                yield f"{parent} is drawn from a continuum and hits a value by chance only; legal: give it a step"
                continue
            for value in values:
                if not legal.contains(value) or not among(legal.canonical(value), (value,)):
                    yield f"{parent} can never be {shown(value)}; legal: {legal.legal}"
        elif parent not in fixed:
            yield f"there is no field {parent}; {closest(parent, [*domains, *fixed])}legal: a field of the experiment"


def _parents_first(domains: Mapping[str, Domain]) -> tuple[dict[str, Domain], dict[str, Domain]]:
    """The domains in an order in which each field follows those its conditions name; and those a circle keeps back."""
    ordered: dict[str, Domain] = {}
    left = dict(domains)
    while ready := [field for field, domain in left.items() if not any(parent in left for parent, _ in domain.when)]:
        ordered.update((field, left.pop(field)) for field in ready)
    return ordered, left


def _leads_back(field: str, domains: Mapping[str, Domain]) -> bool:
    """Whether a field's conditions, and theirs, name the field itself."""
    reached: set[str] = set()
    ahead = [field]
    while ahead:
        parents = {parent for parent, _ in domains[ahead.pop()].when if parent in domains} - reached
        reached |= parents
        ahead += parents
    return field in reached


def shipped() -> dict[str, Path]:
    """The YAML files that come with imagetune: name -> path; `fixed/` holds experiments with nothing left free."""
    folder = Path(__file__).parent
    return {path.stem: path for path in [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("fixed/*.yaml"))]}
