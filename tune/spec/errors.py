"""What is wrong with a specification: everything, each problem with its file, dotted field and value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from data.words import printable
from search_spaces import nearest, one_of, shown, similar
from tune.errors import UserError

__all__ = ["OVERRIDE", "Problem", "SpecError", "nearest", "not_a_mapping", "one_of", "shown", "similar", "unknown_name"]

OVERRIDE = "override"
"""Named in place of the file where a value came from the command line."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, printed as `FILE: FIELD: MESSAGE`."""

    field: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        # A key, a path or a library's message may contain line breaks, escape sequences, or bytes that are not text.
        return printable(": ".join(part for part in (self.file, self.field, self.message) if part))


class SpecError(UserError):
    """A specification is invalid; the text has one line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__(*map(str, self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)  # of a pickle, as between processes


def not_a_mapping(value: object, fields: Iterable[str]) -> str:
    """What is wrong with a value where a mapping with these fields is expected."""
    hint = f"; write {{name: {value}}}" if isinstance(value, str) and value.isidentifier() and "name" in fields else ""
    return f"must be a mapping of fields to values (got {shown(value)}){hint}"


def unknown_name(kind: str, name: str, names: Iterable[str], meant: str = "") -> str:
    """What is wrong with an unknown name: `unknown field; did you mean lr? Valid fields here: lr, momentum`."""
    return f"unknown {kind}; {nearest(name, names, f'valid {kind}s here', meant)}"
