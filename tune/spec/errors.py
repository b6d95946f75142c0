"""What is wrong with a specification: all of it, each with its file, dotted name, value and what is legal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from search_spaces import closest, nearest, shown
from tune.errors import UserError

__all__ = ["OVERRIDE", "Problem", "SpecError", "closest", "nearest", "shown"]

OVERRIDE = "override"
"""What stands in the place of the file where a value came from the command line."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at one place."""

    field: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        line = ": ".join(part for part in (self.file, self.field, self.message) if part)
        # A key, a path or a message of a library may hold line breaks, escape sequences, or bytes that were no text.
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


class SpecError(UserError):
    """One or more problems of a specification, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
