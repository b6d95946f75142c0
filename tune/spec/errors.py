"""What is wrong with a specification: all of it, each with its file, dotted name, value and what is legal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from tune.errors import UserError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at one place."""

    field: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.field, self.message) if part)


class SpecError(UserError):
    """One or more problems of a specification, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(name: str, legal: Iterable[str]) -> str:
    """What to say after an unknown name: the nearest legal one if any, and all of them."""
    names = sorted(legal)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}legal: {', '.join(names)}"
