"""A file and the overrides of the command line, put together but not yet checked."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune.spec.dotted import Tree, get_dotted, set_dotted, within
from tune.spec.errors import OVERRIDE, Problem, SpecError, not_a_mapping, shown, unknown_name
from tune.spec.experiment import Experiment
from tune.spec.files import find, parse_yaml, read_tree
from tune.spec.options.named import without_foreign
from tune.spec.schema import NAMED, elsewhere, is_text, similar_field
from tune.spec.search_settings import of_earlier_versions

_EMPTY: dict[str, Any] = {"experiment": {}, "space": {}, "constraints": {}, "first": [], "search": {}}
_NAMES = (*_EMPTY, "made_with")
_SETTINGS = ("search", "constraints")  # sections beside the experiment that overrides can change
_INSTEAD = {"objectives": ("metric", "mode"), "metric": ("objectives",)}  # field of search: those it takes the place of


@dataclass(frozen=True)
class Loaded:
    """The sections of a file, with the overrides put in.

    Attributes:
        path: The file.
        sections: experiment, space, constraints, first and search; those that the file does not have are empty.
        written: The fields as in the file, without overrides, to tell where a value came from.
        overridden: Dotted names of the overrides.
        problems: What is wrong already: unknown sections, malformed overrides.
    """

    path: Path
    sections: Tree
    written: Tree
    overridden: frozenset[str]
    problems: tuple[Problem, ...]

    @property
    def experiment(self) -> Tree:
        """The section of that name; searched fields may be missing from it."""
        tree: Tree = self.sections["experiment"]
        return tree

    def placed(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems, each with the file that its field's value came from."""
        return [Problem(problem.field, problem.message, self._origin(problem.field)) for problem in problems]

    def _origin(self, field: str) -> str:
        if within(field, self.overridden):
            return OVERRIDE
        below = any(within(name, [field]) for name in self.overridden)
        return OVERRIDE if below and not isinstance(get_dotted(self.written, field), dict) else str(self.path)


def read(name_or_path: str, overrides: Iterable[str] = ()) -> Loaded:
    """Read a shipped file or a path, and put the overrides in.

    The fields of an experiment may be at the top level of the file, without an `experiment:` around them.

    Raises:
        SpecError: there is no such file, or it is not YAML.
    """
    path = find(name_or_path)
    tree = read_tree(path)
    if "experiment" not in tree:
        tree["experiment"] = {name: tree.pop(name) for name in Experiment.model_fields if name in tree}
    if "made_with" in tree:  # a search that was made
        tree["search"] = of_earlier_versions(tree.get("search"))
    problems = [
        Problem(name, unknown_name("section", name, (*_NAMES, *Experiment.model_fields), elsewhere(name)), str(path))
        for name in tree
        if name not in _NAMES
    ]
    sections = copy.deepcopy(_EMPTY)
    for name, empty in _EMPTY.items():
        value = tree.get(name)
        if isinstance(value, type(empty)):
            sections[name] = value
        elif value is not None:
            no_list = f"must be a list of configurations (got {shown(value)})"
            problems.append(Problem(name, no_list if name == "first" else not_a_mapping(value, ()), str(path)))
    written = copy.deepcopy({**sections["experiment"], **{name: sections[name] for name in _EMPTY}})
    values, more = parse_overrides(overrides)
    more += _apply(sections, values)
    return Loaded(path, sections, written, frozenset(values), (*problems, *more))


def parse_overrides(overrides: Iterable[str]) -> tuple[Tree, list[Problem]]:
    """Overrides as dotted name -> value in the order given, and what is wrong with them.

    Where a field is text, such as `data.path`, the value is what the shell passed, character by character; nothing
    after the `=` is null. Elsewhere it is YAML 1.2, without comments. A prefix `experiment.` may be given. A field can
    be given once; a section is replaced as a whole, and so must come before its fields.
    """
    values: Tree = {}
    problems = []
    for override in overrides:
        name, equals, text = override.partition("=")
        name = name.removeprefix("experiment.")
        if not equals or not all(name.split(".")):
            problems.append(Problem("", f"{shown(override)} is not an override; write dotted.name=value", OVERRIDE))
        elif name in values:
            problems.append(Problem(name, f"is given twice (now {shown(text)}); give it once", OVERRIDE))
        elif undone := [earlier for earlier in values if within(earlier, [name])]:
            message = f"would replace {', '.join(undone)}, given before it; give the section first, then its fields"
            problems.append(Problem(name, message, OVERRIDE))
        elif is_text(name):
            values[name] = text or None
        else:
            try:
                values[name] = parse_yaml(text, OVERRIDE, name, comments=False)
            except SpecError as error:
                problems += error.problems
    return values, problems


def _apply(sections: Tree, values: Mapping[str, object]) -> list[Problem]:
    """Put the values into the sections of a file, in place; what is wrong with their names.

    An override of a searched field, or of a section around it, fixes it: it leaves the space. An override of a
    sampler's or scheduler's name leaves out the options of the file that the other does not have; one of the
    objectives leaves out the file's metric, and the other way round.
    """
    problems = []
    for name, value in values.items():
        if (message := _refusal(name, sections["space"])) is not None:
            problems.append(Problem(name, message, OVERRIDE))
        elif name.partition(".")[0] in _SETTINGS:
            set_dotted(sections, name, value)
        else:
            for searched in [field for field in sections["space"] if within(str(field), [name])]:
                del sections["space"][searched]
            set_dotted(sections["experiment"], name, value)
    for part, kinds in NAMED.items():
        if f"search.{part}.name" in values and isinstance(options := sections["search"].get(part), Mapping):
            given = [name.split(".")[2] for name in values if name.startswith(f"search.{part}.")]
            sections["search"][part] = without_foreign(kinds, options, given)
    for field, others in _INSTEAD.items():
        for other in others if values.get(f"search.{field}") else ():
            if f"search.{other}" not in values:
                sections["search"].pop(other, None)
    return problems


def _refusal(name: str, space: Iterable[object]) -> str | None:
    """Why this name cannot be overridden; None where it can."""
    head = name.partition(".")[0]
    names = (*Experiment.model_fields, *_SETTINGS)
    if head in ("space", "first"):
        return "cannot be overridden; fix a searched field with FIELD=VALUE, or edit a copy of the file"
    if head not in names:
        return unknown_name("field", head, names, similar_field(name) or elsewhere(name))
    if around := [str(field) for field in space if field != name and within(name, [str(field)])]:
        return f"is part of {around[0]}, which is searched; override that as a whole: {around[0]}=VALUE"
    return None
