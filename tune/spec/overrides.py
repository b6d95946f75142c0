"""Overrides from the command line: `dotted.name=value`, the value read as YAML 1.2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tune.spec.dotted import Tree, set_dotted, within
from tune.spec.errors import OVERRIDE, Problem, SpecError, closest, shown
from tune.spec.experiment import Experiment
from tune.spec.files import parse_yaml
from tune.spec.schema import meant

SETTINGS = ("search", "constraints")
"""Sections beside the experiment that overrides reach, by their names."""


def parse_overrides(overrides: Iterable[str]) -> tuple[Tree, list[Problem]]:
    """Overrides as dotted name -> value in the order given, and what is wrong with them.

    A prefix `experiment.` goes without saying. Nothing given is lost: a field is given once, and a section, which is
    replaced whole, before its fields.
    """
    values: Tree = {}
    problems = []
    for override in overrides:
        name, equals, text = override.partition("=")
        name = name.removeprefix("experiment.")
        if not equals or not all(name.split(".")):
            message = f"{shown(override)} is not an override; legal: dotted.name=value"
            problems.append(Problem("", message, OVERRIDE))
        elif name in values:
            problems.append(Problem(name, f"given twice, here {shown(text)}; legal: once", OVERRIDE))
        elif undone := [earlier for earlier in values if within(earlier, [name])]:
            message = f"would undo {', '.join(undone)}, given before; legal: the section first, then its fields"
            problems.append(Problem(name, message, OVERRIDE))
        else:
            try:
                values[name] = parse_yaml(text, OVERRIDE, name)
            except SpecError as error:
                problems += error.problems
    return values, problems


def apply_overrides(sections: Tree, values: Mapping[str, object]) -> list[Problem]:
    """Put the values into the sections of a file, in place; what is wrong with their names.

    An override of a searched field, or of a section around it, fixes it: it leaves the space.
    """
    problems = []
    for name, value in values.items():
        if (message := _refusal(name, sections["space"])) is not None:
            problems.append(Problem(name, message, OVERRIDE))
        elif name.partition(".")[0] in SETTINGS:
            set_dotted(sections, name, value)
        else:
            for searched in [field for field in sections["space"] if within(str(field), [name])]:
                del sections["space"][searched]
            set_dotted(sections["experiment"], name, value)
    return problems


def _refusal(name: str, space: Iterable[object]) -> str | None:
    """Why there can be no such override; None where there can."""
    head = name.partition(".")[0]
    legal = (*Experiment.model_fields, *SETTINGS)
    if head in ("space", "first"):
        return "cannot be overridden; legal: field=value, which fixes a searched field, or another file"
    if head not in legal:
        return f"unknown; {meant(name) or closest(head, legal)}legal: {', '.join(sorted(legal))}"
    if around := [str(field) for field in space if field != name and within(name, [str(field)])]:
        return f"lies within {around[0]}, which is searched; legal: {around[0]}=value, which fixes it whole"
    return None
