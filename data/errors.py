"""The errors of this package: what is wrong, the value, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from data.words import quoted


class DataError(ValueError):
    """Data that cannot be provided. The lines are shown to users."""

    def __init__(self, *lines: str) -> None:
        # Kept apart, since a path in one of them may contain a line break.
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(self.args)


class DamagedDataError(DataError):
    """A damaged or incomplete file. The text names the file and says what to do."""


def unknown(kind: str, name: object, known: Iterable[str]) -> DataError:
    """The error for a name that does not exist, with the nearest name and all valid ones.

    Args:
        kind: What the name should be, such as ``"data set"``.
        name: The name that was given.
        known: All valid names.
    """
    names = list(known)
    told = f"unknown {kind} {quoted(str(name))}"
    if not names:
        return DataError(f"{told}; there are none")
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    valid = f"alid names: {', '.join(names)}"
    return DataError(f"{told}; did you mean {close[0]}? V{valid}" if close else f"{told}; v{valid}")
