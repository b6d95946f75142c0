"""A file with its overrides as sections, not yet checked, and where each value came from."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune.spec.dotted import Tree, get_dotted, within
from tune.spec.errors import OVERRIDE, Problem, nearest, shown
from tune.spec.experiment import Experiment
from tune.spec.files import find, read_tree
from tune.spec.overrides import apply_overrides, parse_overrides

_EMPTY: dict[str, Any] = {"experiment": {}, "space": {}, "constraints": {}, "first": [], "search": {}}
_NAMES = (*_EMPTY, "made_with")


@dataclass(frozen=True)
class Loaded:
    """The sections of a file, every one there.

    Attributes:
        path: Of the file.
        sections: experiment, space, constraints, first and search, overrides put in.
        written: The fields as the file has them, without overrides, to tell where a value came from.
        overridden: Dotted names of the overrides.
        problems: What is wrong already: unknown sections, overrides that are none.
    """

    path: Path
    sections: Tree
    written: Tree
    overridden: frozenset[str]
    problems: tuple[Problem, ...]

    @property
    def experiment(self) -> Tree:
        """The section of that name, in which searched fields need not be."""
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
    """Read a shipped or given file as sections, and put the overrides in.

    The fields of an experiment may stand at the top of the file, without a section of their own.

    Raises:
        SpecError: no such file, or not YAML.
    """
    path = find(name_or_path)
    tree = read_tree(path)
    if "experiment" not in tree:
        tree["experiment"] = {name: tree.pop(name) for name in Experiment.model_fields if name in tree}
    problems = [
        Problem(name, f"unknown; {nearest(name, (*_NAMES, *Experiment.model_fields))}", str(path))
        for name in tree
        if name not in _NAMES
    ]
    sections = copy.deepcopy(_EMPTY)
    for name, empty in _EMPTY.items():
        value = tree.get(name)
        if isinstance(value, type(empty)):
            sections[name] = value
        elif value is not None:
            legal = "a list of configurations" if name == "first" else "a mapping of names to values"
            problems.append(Problem(name, f"{shown(value)} is of the wrong type; legal: {legal}", str(path)))
    written = copy.deepcopy({**sections["experiment"], **{name: sections[name] for name in _EMPTY}})
    values, more = parse_overrides(overrides)
    more += apply_overrides(sections, values)
    return Loaded(path, sections, written, frozenset(values), (*problems, *more))
