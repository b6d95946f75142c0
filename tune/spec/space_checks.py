"""Whether anything in a space is possible, and every value of it somewhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from search_spaces import Choice, Config, Space
from tune.spec.checks import Look, check_tree
from tune.spec.dotted import with_values, within
from tune.spec.errors import Problem, shown
from tune.spec.experiment import Experiment
from tune.spec.free_fields import FreeFields
from tune.spec.pydantic_errors import validated

EXAMPLE_ATTEMPTS = 1000  # configurations tried before a space counts as impossible
COMMON_ATTEMPTS = 30  # of these, before a problem that all of them had is taken for one that all have
VALUE_ATTEMPTS = 50  # configurations tried around one value


@dataclass(frozen=True)
class Example:
    """A configuration that is possible, and its experiment.

    Or None, the problems that all configurations tried had in common, and in case there were no such, one's as example.
    """

    config: Config
    experiment: Experiment | None
    common: tuple[Problem, ...] = ()
    summary: tuple[Problem, ...] = ()


def find_example(free: FreeFields, look: Look | None) -> Example:
    """A configuration that is possible: the first values of all domains if they go together, else another."""
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
    summary = Problem("space", f"none of {len(tried)} configurations is possible; {reason}")
    return Example(tried[0], None, tuple(common), (summary,))


def _candidates(space: Space) -> Iterator[Config]:
    """Every configuration of a small space; else the first values, and random ones."""
    if space.size_limit is not None and space.size_limit <= EXAMPLE_ATTEMPTS:
        yield from space.enumerate()
        return
    yield space.fill({})
    source = random.Random(0)
    for _ in range(EXAMPLE_ATTEMPTS - 1):
        yield space.draw(source)


def space_problems(free: FreeFields, example: Example) -> list[Problem]:
    """What is wrong with all configurations, and with the values of the domains.

    A value is wrong that its field cannot have, and a choice that fits into no configuration. Whether the experiment
    is well formed is all that is asked here: what its plan or its data forbid is only never drawn.
    """
    common = example.common
    illegal = {field: found for field in free.space.domains if (found := _illegal(free, field, common))}
    unfit = [_unfit(free, field, common, illegal) for field in free.space.domains if field not in illegal]
    found = [_at_domain(problem, free.space) for problems in [common, *illegal.values()] for problem in problems]
    found += [*free.problems, *(problem for problems in unfit for problem in problems)]
    return found or list(example.summary)


def _at_domain(problem: Problem, space: Space) -> Problem:
    """The problem of a value that a domain gave, named by the domain."""
    for field in space.domains:
        if within(problem.field, [field]):
            below = problem.field.removeprefix(field).removeprefix(".")
            return Problem(f"space.{field}", f"{below}: {problem.message}" if below else problem.message)
    return problem


def _illegal(free: FreeFields, field: str, common: Collection[Problem]) -> list[Problem]:
    """What is wrong with values that the field itself cannot have: of a choice all, of a range the first."""

    def own(problem: Problem) -> bool:
        return problem not in common and within(problem.field, [field])

    domain = free.space.domains[field]
    found = [problem for value in domain.ends if (problem := _fault(free, field, value, own)) is not None]
    return found if isinstance(domain, Choice) else found[:1]


def _unfit(free: FreeFields, field: str, common: Collection[Problem], illegal: Collection[str]) -> Iterator[Problem]:
    """What keeps a choice, legal in itself, out of every configuration: mostly a field without its `when`."""

    def other(problem: Problem) -> bool:
        return problem not in common and not within(problem.field, illegal)

    domain = free.space.domains[field]
    for value in domain.options if isinstance(domain, Choice) else ():
        if (problem := _fault(free, field, value, other)) is not None:
            message = f"{shown(value)} fits no configuration: {problem.field}: {problem.message}"
            yield Problem(f"space.{field}", message)


def _fault(free: FreeFields, field: str, value: Any, counts: Callable[[Problem], bool]) -> Problem | None:
    """The first problem that counts with this value; None as soon as a configuration has none."""
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
