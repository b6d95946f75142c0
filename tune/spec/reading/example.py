"""Whether any configuration of a space can be trained, and whether every value can be used."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from data.words import counted
from search_spaces import Choice, Config, Space
from tune.spec.checks.experiment import check_tree
from tune.spec.checks.images import Look
from tune.spec.checks.pydantic_errors import validated
from tune.spec.dotted import with_values, within
from tune.spec.errors import Problem, shown
from tune.spec.experiment import Experiment
from tune.spec.reading.free_fields import FreeFields

EXAMPLE_ATTEMPTS = 1000  # configurations tried before none is assumed to be possible
COMMON_ATTEMPTS = 30  # of these, before a problem of all of them is assumed to be one of all configurations
VALUE_ATTEMPTS = 50  # configurations tried around one value


@dataclass(frozen=True)
class Example:
    """A configuration that can be trained, and its experiment.

    If none was found, `experiment` is None, `common` has the problems that all configurations share, and `summary` one
    problem as an example, in case they share none.
    """

    config: Config
    experiment: Experiment | None
    common: tuple[Problem, ...] = ()
    summary: tuple[Problem, ...] = ()


def find_example(free: FreeFields, look: Look | None) -> Example:
    """A configuration that can be trained: the first value of every domain if they go together, or another."""
    tried: list[Config] = []
    first, common = Problem("", ""), list[Problem]()
    for config in _candidates(free.space):
        experiment, found = check_tree(with_values(free.tree, config), look)
        found = [problem for problem in found if not free.concerned(problem.field)]
        if not found:
            return Example(config, experiment)
        if not tried:
            first, common = found[0], found
        common = [problem for problem in common if problem in found]
        tried.append(config)
        if len(tried) >= COMMON_ATTEMPTS and common:
            break
    reason = f"the first, {shown(tried[0])}: {first.field}: {first.message}"
    summary = Problem("space", f"none of {counted(len(tried), 'configuration')} can be trained; {reason}")
    return Example(tried[0], None, tuple(common), (summary,))


def _candidates(space: Space) -> Iterator[Config]:
    """Every configuration of a small space; of others the first values, then random ones."""
    if space.size_limit is not None and space.size_limit <= EXAMPLE_ATTEMPTS:
        yield from space.enumerate()
        return
    yield space.fill({})
    source = random.Random(0)
    for _ in range(EXAMPLE_ATTEMPTS - 1):
        yield space.draw(source)


def space_problems(free: FreeFields, example: Example) -> list[Problem]:
    """What is wrong with all configurations, and with values of the domains.

    A value is wrong if its field cannot have it, and a choice also if it goes with no values of the other fields. Only
    the fields are looked at: a value that does not go with the images or the model's plan is just never drawn.
    """
    common = example.common
    invalid = {field: found for field in free.space.domains if (found := _invalid(free, field, common))}
    unusable = [_unusable(free, field, common, invalid) for field in free.space.domains if field not in invalid]
    found = [_at_domain(problem, free.space) for problems in [common, *invalid.values()] for problem in problems]
    found += [*free.problems, *(problem for problems in unusable for problem in problems)]
    return found or list(example.summary)


def _at_domain(problem: Problem, space: Space) -> Problem:
    """The problem of a value that came from a domain, with the domain as its field."""
    for field in space.domains:
        if within(problem.field, [field]):
            below = problem.field.removeprefix(field).removeprefix(".")
            return Problem(f"space.{field}", f"{below}: {problem.message}" if below else problem.message)
    return problem


def _invalid(free: FreeFields, field: str, common: Collection[Problem]) -> list[Problem]:
    """What is wrong with values that the field itself cannot have: all of a choice, the first of a range."""

    def own(problem: Problem) -> bool:
        return problem not in common and within(problem.field, [field])

    domain = free.space.domains[field]
    found = [problem for value in domain.ends if (problem := _fault(free, field, value, own)) is not None]
    return found if isinstance(domain, Choice) else found[:1]


def _unusable(free: FreeFields, field: str, common: Collection[Problem], invalid: Collection[str]) -> Iterator[Problem]:
    """Why a valid choice goes with no values of the other fields: mostly, one of those lacks its `when`."""

    def other(problem: Problem) -> bool:
        return problem not in common and not within(problem.field, invalid)

    domain = free.space.domains[field]
    for value in domain.options if isinstance(domain, Choice) else ():
        if (problem := _fault(free, field, value, other)) is not None:
            message = f"{shown(value)} can never be used: {problem.field}: {problem.message}"
            yield Problem(f"space.{field}", message)


def _fault(free: FreeFields, field: str, value: Any, counts: Callable[[Problem], bool]) -> Problem | None:
    """The first problem that counts with this value; None if there is a configuration without one."""
    first: Problem | None = None
    for config in _around(free.space, field, value):
        _, found = validated(Experiment, with_values(free.tree, config))
        faults = [problem for problem in found if counts(problem) and not free.concerned(problem.field)]
        if not faults:
            return None
        first = first or faults[0]
    return first


def _around(space: Space, field: str, value: Any) -> Iterator[Config]:
    """Configurations in which the field is in play and has this value."""
    premises = {parent: values for parent, values in space.premises(field).items() if parent in space.domains}
    yield space.fill({**{parent: values[0] for parent, values in premises.items()}, field: value})
    source = random.Random(0)
    for _ in range(VALUE_ATTEMPTS):
        forced = {parent: source.choice(values) for parent, values in premises.items()}
        yield space.fill({**space.draw(source), **forced, field: value})
