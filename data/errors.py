"""What a user is told when data cannot be had: one line with the condition, the value, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """A request for data that cannot be met. The text is one line, fit to be shown as it is."""


class DamagedDataError(DataError):
    """A file on disk is damaged or incomplete. The text names the file and says what to do."""


def unknown(kind: str, name: object, legal: Iterable[str]) -> DataError:
    """The error for a name that is not in a table.

    Args:
        kind: What was looked up, as in ``"dataset"``.
        name: The name that was given.
        legal: Every name there is.

    Returns:
        An error that lists the legal names and points at the nearest one.
    """
    names = list(legal)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return DataError(f"unknown {kind} {name!r}: choose one of {', '.join(names) or '(none)'}{hint}")
