"""The one error that this package shows to users, and how values and names are worded in it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

LONGEST_VALUE = 100  # characters of a value that a message shows


class SpaceError(ValueError):
    """A search space, or one domain of it, cannot be: the text names the condition, the value, and what is legal."""


def shown(value: Any) -> str:
    """A value as a user would write it (`true`, `null`, `{"crop": 2}`), on one line and cut where it is long.

    A text stands in Python's quotes, which give line breaks and unprintable characters away.
    """
    if isinstance(value, str):
        text = repr(value)
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except (TypeError, ValueError):  # keys that JSON does not have
            text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def closest(name: str, legal: Iterable[str]) -> str:
    """The nearest legal name as a question with a space after it; empty where none is near."""
    close = difflib.get_close_matches(name, sorted(legal), n=1)
    return f"did you mean {close[0]}? " if close else ""


def nearest(name: str, legal: Iterable[str]) -> str:
    """What to say after an unknown name: the nearest legal one if any, and all of them."""
    names = sorted(legal)
    return f"{closest(name, names)}legal: {', '.join(names)}"
