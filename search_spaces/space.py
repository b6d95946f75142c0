"""A space: the searched fields of an experiment, each with its domain, and the order in which they are drawn."""

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
from search_spaces.errors import SpaceError, nearest, shown, similar
from search_spaces.notation import parse

Config = dict[str, Any]
"""Dotted field -> value, for the fields in play."""


@dataclass(frozen=True)
class Space:
    """The searched fields, each after those that its `when` names.

    `fixed` has the values of fields that are not searched, so that conditions can name them.
    """

    domains: Mapping[str, Domain]
    fixed: Mapping[str, Any]

    def in_play(self, field: str, config: Mapping[str, Any]) -> bool:
        """Whether `field` is drawn, given the values drawn before it; never if a field that it depends on is not."""
        for parent, values in self.domains[field].when:
            if parent in self.domains and parent not in config:
                return False
            if not among(config.get(parent, self.fixed.get(parent)), values):
                return False
        return True

    def canonical(self, config: Mapping[str, Any]) -> Config:
        """The configuration without fields not in play, in the space's order, floats rounded: equal ones look equal."""
        result: Config = {}
        for field, domain in self.domains.items():
            if field in config and self.in_play(field, result):
                result[field] = domain.canonical(config[field])
        return result

    def problems(self, config: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Why a configuration written by hand is not one of this space: pairs (field, what is wrong)."""
        found = [
            (str(field), f"unknown field; {nearest(str(field), self.domains, 'valid fields here')}")
            for field in config
            if field not in self.domains
        ]
        known: Config = {}
        for field, domain in self.domains.items():
            if not self.in_play(field, known):
                if field in config:
                    found.append((field, f"must be left out, since its `when` is not met (got {shown(config[field])})"))
                continue
            known[field] = domain.first
            if field not in config:
                found.append((field, f"is required: {domain.description}"))
            elif not domain.contains(config[field]):
                found.append((field, f"must be {domain.description} (got {shown(config[field])})"))
            else:
                known[field] = domain.canonical(config[field])
        return found

    def draw(self, source: random.Random, chosen: Mapping[str, Any] | None = None) -> Config:
        """One configuration at random, with the chosen values where their fields are in play."""
        config: Config = {}
        chosen = chosen or {}
        for field, domain in self.domains.items():
            if self.in_play(field, config):
                config[field] = chosen[field] if field in chosen else domain.draw(source)
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

        Several conditions on one field leave the values that meet all of them; without any, `field` is never in play.
        """
        needed: dict[str, tuple[Any, ...]] = {}
        for parent, values in self.domains[field].when:
            above = self.premises(parent) if parent in self.domains else {}
            for name, allowed in [(parent, values), *above.items()]:
                needed[name] = tuple(value for value in needed.get(name, allowed) if among(value, allowed))
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
        """An upper bound of the number of configurations, as if all fields were in play; None where it is infinite."""
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
    """A text that is the same for two configurations exactly if they are equal."""
    return json.dumps(dict(config), sort_keys=True)


def parse_space(raw: Any, fixed: Mapping[str, Any]) -> tuple[Space, list[tuple[str, str]]]:
    """A space from its YAML mapping, and all that is wrong with it as pairs (field, what is wrong).

    `fixed` maps the dotted fields that are not searched to their values, so that a `when` may name them.
    """
    if not isinstance(raw, Mapping):
        return Space({}, fixed), [("", f"must be a mapping of dotted field names to domains (got {shown(raw)})")]
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
    found += [(field, "its `when` conditions form a cycle") for field in stuck if _in_cycle(field, stuck)]
    return Space(ordered, fixed), found


def _condition_problems(when: Condition, domains: Mapping[str, Domain], fixed: Mapping[str, Any]) -> Iterator[str]:
    for parent, values in when:
        if parent in domains:
            domain = domains[parent]
            if domain.size is None:
                yield f"{parent} is continuous and has a given value only by chance; give it a step"
                continue
            for value in values:
                if not domain.contains(value) or not among(domain.canonical(value), (value,)):
                    yield f"{parent} is never {shown(value)}; it is {domain.description}"
        elif parent not in fixed:
            meant = similar(parent, [*domains, *fixed])
            yield f"{parent}: unknown field" + (f"; did you mean {meant}?" if meant else "")


def _parents_first(domains: Mapping[str, Domain]) -> tuple[dict[str, Domain], dict[str, Domain]]:
    """The domains, each after those that its conditions name; and those for which a cycle makes that impossible."""
    ordered: dict[str, Domain] = {}
    left = dict(domains)
    while ready := [field for field, domain in left.items() if not any(parent in left for parent, _ in domain.when)]:
        ordered.update((field, left.pop(field)) for field in ready)
    return ordered, left


def _in_cycle(field: str, domains: Mapping[str, Domain]) -> bool:
    """Whether a field depends on itself, by its conditions or theirs."""
    reached: set[str] = set()
    ahead = [field]
    while ahead:
        parents = {parent for parent, _ in domains[ahead.pop()].when if parent in domains} - reached
        reached |= parents
        ahead += parents
    return field in reached


def shipped() -> dict[str, Path]:
    """The YAML files that come with imagetune: name -> path; in `fixed/` are experiments with no searched field."""
    folder = Path(__file__).parent
    return {path.stem: path for path in [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("fixed/*.yaml"))]}
