"""From a YAML file and overrides to a checked experiment or search: all that is wrong is said at once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

import data
from search_spaces import Space, parse_space
from tune.spec.checks import check_parts, check_search, inspect_data
from tune.spec.dotted import Tree, flatten, get_dotted, set_dotted, with_values
from tune.spec.errors import Problem, SpecError, nearest
from tune.spec.experiment import Experiment
from tune.spec.files import find, parse_yaml, read_tree
from tune.spec.search import ConstraintsSpec, SearchSettings, SearchSpec
from tune.spec.translate import translate

_PARTS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(Experiment.model_fields[name].rebuild_annotation()) for name in ("data", "model", "training")
}
M = TypeVar("M", bound=BaseModel)

_SECTIONS = ("experiment", "space", "constraints", "first", "search", "made_with")
_EXPERIMENT_FIELDS = tuple(Experiment.model_fields)
EXAMPLE_ATTEMPTS = 50  # draws in search of one possible experiment before a space is refused


class Loaded(NamedTuple):
    """A file with its overrides put in, not yet checked: `sections` has every one of experiment, space, ..."""

    path: Path
    sections: Tree
    overridden: frozenset[str]
    problems: tuple[Problem, ...]
    """What is wrong already: unknown sections, overrides that are none."""
    with_data: bool = True

    def file_of(self, field: str) -> str:
        """Where a field's value came from: the file, or the command line."""
        return "override" if field in self.overridden else str(self.path)


def read(name_or_path: str, overrides: Iterable[str] = ()) -> Loaded:
    """Read a shipped or given file as sections, and put the overrides in.

    A file without an `experiment` section is an experiment itself.

    Raises:
        SpecError: no such file, or not YAML.
    """
    path = find(name_or_path)
    tree = read_tree(path)
    if "experiment" not in tree and any(key in tree for key in _EXPERIMENT_FIELDS):
        tree = {"experiment": tree}
    problems = [Problem(key, f"unknown; {nearest(key, _SECTIONS)}", str(path)) for key in tree if key not in _SECTIONS]
    empty: dict[str, Any] = {"experiment": {}, "space": {}, "constraints": {}, "first": [], "search": {}}
    sections = empty | {key: value for key, value in tree.items() if key in _SECTIONS and value is not None}
    for key, default in empty.items():
        if not isinstance(sections[key], type(default)):
            legal = "a list" if key == "first" else "a mapping"
            problems.append(Problem(key, f"{sections[key]!r} is not {legal}", str(path)))
            sections[key] = default
    values, override_problems = parse_overrides(overrides)
    _apply(sections, values)
    return Loaded(path, sections, frozenset(values), (*problems, *override_problems))


def parse_overrides(overrides: Iterable[str]) -> tuple[Tree, list[Problem]]:
    """`dotted.name=value` texts as dotted name -> value (read as YAML 1.2), and what is wrong with them."""
    values: Tree = {}
    problems = []
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not all(name.split(".")):
            problems.append(Problem("", f"{override!r} is not an override; legal: dotted.name=value"))
            continue
        try:
            values[name] = parse_yaml(text, "override", name)
        except SpecError as error:
            problems += error.problems
    return values, problems


def _apply(sections: Tree, values: Mapping[str, Any]) -> None:
    """An override of a searched field fixes it; `search.` and `constraints.` reach those sections."""
    for name, value in values.items():
        section = name.partition(".")[0]
        if section in ("search", "constraints"):
            set_dotted(sections, name, value)
            continue
        name = name.removeprefix("experiment.")
        for searched in [field for field in sections["space"] if field == name or str(field).startswith(f"{name}.")]:
            del sections["space"][searched]
        set_dotted(sections["experiment"], name, value)


def load_experiment(name_or_path: str, overrides: Iterable[str] = (), root: Path | None = None) -> Experiment:
    """A checked experiment. `root` is the data directory (for the images' shape and number).

    Raises:
        SpecError: all that is wrong with it.
    """
    loaded = read(name_or_path, overrides)
    experiment, problems = _check_tree(loaded.sections["experiment"], loaded, root)
    if free := list(loaded.sections["space"]):
        message = f"has free fields: {', '.join(free)}; legal: `search` it, or fix each with an override"
        problems = [Problem("space", message, str(loaded.path))]
    if experiment is None or problems or loaded.problems:
        raise SpecError([*loaded.problems, *problems])
    return experiment


def load_search(
    name_or_path: str, overrides: Iterable[str] = (), root: Path | None = None, *, with_data: bool = True
) -> SearchSpec:
    """A checked search; see `load_experiment`. Without data, what depends on the images is not checked.

    Raises:
        SpecError: all that is wrong with it.
    """
    loaded = read(name_or_path, overrides)._replace(with_data=with_data)
    sections = loaded.sections
    space, found = parse_space(sections["space"], fixed=_fixed_values(sections))
    problems = [*loaded.problems]
    problems += [Problem(f"space.{field}" if field else "space", text, str(loaded.path)) for field, text in found]
    constraints, more = _validate(ConstraintsSpec, sections["constraints"], "constraints", loaded)
    settings, still_more = _validate(SearchSettings, sections["search"], "search", loaded)
    example, base_problems = _example(sections["experiment"], space, loaded, root)
    problems += more + still_more + base_problems
    problems += [] if found else _domain_problems(sections["experiment"], space, example, base_problems, loaded)
    problems += [
        Problem(f"first.{index}.{field}", text, str(loaded.path))
        for index, config in enumerate(sections["first"])
        for field, text in (space.problems(config) if isinstance(config, dict) else [("", "is not a mapping")])
    ]
    if constraints is None or settings is None or problems:
        raise SpecError(problems)
    first = tuple(space.canonical(config) for config in sections["first"])
    base = _resolved(sections["experiment"], space, example)
    spec = SearchSpec(loaded.path.stem, base, space, constraints, settings, example, first)
    if problems := _placed(check_search(spec), loaded):
        raise SpecError(problems)
    return spec


def _check_tree(tree: Tree, loaded: Loaded, root: Path | None) -> tuple[Experiment | None, list[Problem]]:
    """The experiment of a tree, and all that is wrong with it, sections that are well formed checked together."""
    experiment, problems = _validate(Experiment, tree, "", loaded)
    spec, model, training = (_part(kind, tree.get(name, {})) for name, kind in _PARTS.items())
    if spec is not None and loaded.with_data:
        try:
            problems += _placed(check_parts(spec, model, training, inspect_data(spec, root)), loaded)
        except data.DataError as error:
            problems += _placed([Problem("data", str(error))], loaded)
    return experiment, problems


def _part(kind: TypeAdapter[Any], tree: Any) -> Any:
    try:
        return kind.validate_python(tree)
    except ValidationError:
        return None


def _validate(kind: type[M], tree: Any, prefix: str, loaded: Loaded) -> tuple[M | None, list[Problem]]:
    try:
        return kind.model_validate(tree), []
    except ValidationError as error:
        return None, _placed(translate(error, kind, prefix), loaded)


def _placed(problems: Iterable[Problem], loaded: Loaded) -> list[Problem]:
    return [Problem(problem.field, problem.message, loaded.file_of(problem.field)) for problem in problems]


def _fixed_values(sections: Tree) -> Tree:
    """What conditions may name: every field of the experiment with its value, known defaults included."""
    defaults: Tree = {}
    for name, field in Experiment.model_fields.items():
        if isinstance(field.default, BaseModel):
            defaults |= flatten({name: field.default.model_dump(mode="json")})
    return defaults | flatten(sections["experiment"])


def _example(tree: Tree, space: Space, loaded: Loaded, root: Path | None) -> tuple[Tree, list[Problem]]:
    """A configuration that makes the experiment possible; if none is found, what is wrong with the first one."""
    source = random.Random(0)
    first: tuple[Tree, list[Problem]] | None = None
    for attempt in range(EXAMPLE_ATTEMPTS):
        config = _with_forced(space, {}) if attempt == 0 else space.draw(source)
        _, problems = _check_tree(with_values(tree, config), loaded, root)
        if not problems:
            return config, []
        first = first or (config, problems)
        if not space.domains:
            break
    assert first is not None
    return first


def _with_forced(space: Space, forced: Mapping[str, Any]) -> Tree:
    """The first value of every domain in play, but for the fields that are forced."""
    config: Tree = {}
    for field, domain in space.domains.items():
        if space.in_play(field, config):
            config[field] = forced.get(field, domain.first)
    return config


def _domain_problems(
    tree: Tree, space: Space, example: Tree, known: Iterable[Problem], loaded: Loaded
) -> list[Problem]:
    """What is wrong with the ends of each domain, tried one at a time, the conditions of the field made to hold."""
    fields = {problem.field for problem in known}
    problems = []
    for field, domain in space.domains.items():
        parents = {parent: values[0] for parent, values in domain.when}
        for value in domain.ends:
            config = _with_forced(space, {**example, **parents, field: value})
            _, found = _validate(Experiment, with_values(tree, config), "", loaded)
            mine = [p for p in found if (p.field == field or p.field.startswith(f"{field}.")) and p.field not in fields]
            problems += [Problem(f"space.{field}", p.message, p.file) for p in mine]
        problems += _section_problems(field, loaded)
    return problems


def _section_problems(field: str, loaded: Loaded) -> list[Problem]:
    """A domain for a whole section (`training`) would be taken apart field by field: refuse it with its fields."""
    if field in _EXPERIMENT_FIELDS and field != "seed":
        return [
            Problem(
                f"space.{field}",
                "is a section; legal: one of its fields, such as training.batch_size",
                str(loaded.path),
            )
        ]
    return []


def _resolved(tree: Tree, space: Space, example: Tree) -> Tree:
    """The experiment's tree with every default spelled out, without the searched fields.

    Where the model itself is searched its options keep to what the file says: the models' options differ.
    """
    whole = Experiment.model_validate(with_values(tree, example)).to_tree()
    if "model.name" in space.domains:
        whole["model"] = dict(tree.get("model", {}))
    for field in space.domains:
        given = get_dotted(tree, field)
        _remove(whole, field) if given is None else set_dotted(whole, field, given)
    return whole


def _remove(tree: Tree, name: str) -> None:
    *path, last = name.split(".")
    parent = get_dotted(tree, ".".join(path)) if path else tree
    if isinstance(parent, dict):
        parent.pop(last, None)
