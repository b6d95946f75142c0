"""The searched fields of a file: whether they are fields of its experiment, and which ones overrides leave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import models
from search_spaces import Choice, Config, Space, parse_space
from tune.spec.checks.experiment import check_tree
from tune.spec.checks.images import Look
from tune.spec.checks.search import check_constraints
from tune.spec.constraints import ConstraintsSpec
from tune.spec.data_spec import SPLIT_FIELDS
from tune.spec.dotted import Tree, get_dotted, has_dotted, remove_dotted, with_values, within
from tune.spec.errors import Problem, shown
from tune.spec.experiment import Experiment
from tune.spec.reading.overrides import Loaded
from tune.spec.recipe import AUTO
from tune.spec.schema import complete, every_name, unknown_field

_SECTIONS = tuple(name for name in Experiment.model_fields if name != "seed")


@dataclass(frozen=True)
class FreeFields:
    """The space of a search, as far as it is valid.

    Attributes:
        tree: The experiment of the file.
        base: The same with every default filled in, without the searched fields.
        space: The valid domains that can come into play.
        faulty: Fields with an invalid domain.
        problems: What is wrong with those.
    """

    tree: Tree
    base: Tree
    space: Space
    faulty: frozenset[str]
    problems: tuple[Problem, ...]

    def concerned(self, field: str) -> bool:
        """Whether a problem of this field may only come from an invalid domain being left out."""
        return within(field, self.faulty) or any(within(faulty, [field]) for faulty in self.faulty)


def free_fields(loaded: Loaded, *, recorded: bool = False) -> FreeFields:
    """The searched fields of a file, without those that overrides fix or keep out of play.

    A `recorded` search may have searched fields that can no longer be searched.
    """
    raw = {str(field): domain for field, domain in loaded.sections["space"].items()}
    base = _base(loaded.experiment, raw)
    fixed = {name: value for name, value in every_name(base).items() if name not in raw}
    space, found = parse_space(raw, fixed)
    refused = [] if recorded else [field for field in raw if _decides_images(field)]
    found = [pair for pair in found if pair[0] not in refused] + [(field, _FIXED_MESSAGE) for field in refused]
    found += [] if recorded else _auto_problems(space)
    idle = {field: blocker for field in space.domains if (blocker := space.blocker(field)) is not None}
    meant = {field for field, blocker in idle.items() if within(blocker, loaded.overridden)}
    found += _name_problems([field for field in raw if field not in meant], _model_names(loaded.experiment, raw, space))
    found += [
        (field, _never(space, blocker))
        for field, blocker in idle.items()
        if field not in meant and not dict(found).keys() & {field, blocker}
    ]
    faulty = frozenset(field for field, _ in found)
    sound = {field: domain for field, domain in space.domains.items() if field not in faulty | idle.keys()}
    problems = tuple(Problem(f"space.{field}", message) for field, message in found)
    return FreeFields(loaded.experiment, base, Space(sound, fixed), faulty, problems)


def _base(tree: Tree, searched: Iterable[str]) -> Tree:
    """The tree with every default filled in, without the searched fields.

    A value that the file gives to a searched field stays: it applies where a `when` keeps the field out of play. If the
    model itself is searched, its options get no defaults, since models differ in their options.
    """
    whole = complete(tree)
    if "model.name" in searched and isinstance(tree.get("model"), Mapping):
        whole["model"] = dict(tree["model"])
    for field in searched:
        if not has_dotted(tree, field):
            remove_dotted(whole, field)
    return whole


def _model_names(tree: Tree, searched: Iterable[str], space: Space) -> list[str]:
    """The models that may be drawn; all models if that is not known."""
    domain = space.domains.get("model.name")
    named = domain.options if isinstance(domain, Choice) else [get_dotted(tree, "model.name")]
    known = [name for name in models.names() if name in named]
    return models.names() if not known or (domain is None and "model.name" in searched) else known


def _name_problems(searched: Iterable[str], model_names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for field in searched:
        if field in _SECTIONS:
            yield field, "is a section and cannot be searched; use its fields, such as training.batch_size"
        elif (message := unknown_field(field, model_names)) is not None:
            yield field, message
        for around in searched:
            if around != field and within(field, [around]):
                yield field, f"is part of {around}, which is also searched; remove one of the two"


def _auto_problems(space: Space) -> Iterator[tuple[str, str]]:
    for field in (f"training.{name}" for name in AUTO):
        domain = space.domains.get(field)
        if isinstance(domain, Choice) and any(option in ("auto", None) for option in domain.options):
            message = "auto cannot be one of the values: it is chosen once for all trials"
            yield field, f"{message}; remove it, or give it under experiment"


def _never(space: Space, blocker: str) -> str:
    if blocker in space.domains:
        return f"when: is never met, since it requires different values of {blocker} at once; change the conditions"
    value = shown(space.fixed.get(blocker))
    return f"when: is never met, since {blocker} is {value} and not searched; search it, or remove the condition"


_FIXED_MESSAGE = (
    "cannot be searched: results on different images cannot be compared; give it one value under experiment"
)


def _decides_images(field: str) -> bool:
    return within(field, ("data.path", *SPLIT_FIELDS))


Reasons = Callable[[Config], Iterable[str]]
"""Why a configuration cannot be trained, or does not meet the constraints."""


def first_configs(loaded: Loaded, free: FreeFields, reasons: Reasons) -> tuple[tuple[Config, ...], list[Problem]]:
    """The configurations of `first`, without fields that overrides fix, and what is wrong with them."""
    configs: list[Config] = []
    problems: list[Problem] = []
    gone = [*loaded.overridden, *(field for field in loaded.sections["space"] if field not in free.space.domains)]
    for index, given in enumerate(loaded.sections["first"]):
        place = f"first.{index}"
        if not isinstance(given, Mapping):
            message = f"must be a mapping of dotted fields to values (got {shown(given)})"
            problems.append(Problem(place, message))
            continue
        named = {field: value for field, value in given.items() if not within(str(field), gone)}
        found = [
            Problem(
                f"{place}.{field}",
                _FIXED_MESSAGE if _decides_images(field) and field not in free.space.domains else message,
            )
            for field, message in free.space.problems(named)
        ]
        if not found:
            configs.append(free.space.canonical(named))
            found = [Problem(place, reason) for reason in reasons(configs[-1])]
        problems += found
    return tuple(configs), problems


def reasons_against(free: FreeFields, constraints: ConstraintsSpec | None, look: Look | None) -> Reasons:
    """A function that says why a configuration cannot be trained, or does not meet the constraints."""

    def reasons(config: Config) -> Iterator[str]:
        experiment, problems = check_tree(with_values(free.tree, config), look)
        yield from (f"{problem.field}: {problem.message}" for problem in problems)
        if experiment and not problems and constraints and look:
            yield from check_constraints(constraints, experiment, look(experiment.data))

    return reasons
