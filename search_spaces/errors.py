"""The one error that this package raises for users, and the phrases that messages share."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")  # of a name, as Python stands in for it
MAX_SHOWN = 100  # characters of a value in a message


class SpaceError(ValueError):
    """A domain or a search space is invalid: the text names the value and what is allowed."""


def shown(value: Any) -> str:
    """A value as a user would write it (`true`, `null`, `{"crop": 2}`), on one line, shortened where it is long.

    Text is in quotes, with line breaks, unprintable characters and bytes that are not UTF-8 as escapes.
    """
    if isinstance(value, str):
        text = _BYTE.sub(r"\\x\1", repr(value).replace("\\\\", "\\"))
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except (TypeError, ValueError):  # keys that JSON does not have
            text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def similar(name: str, names: Iterable[str]) -> str:
    """The most similar of the names; empty where none is similar."""
    return next(iter(difflib.get_close_matches(name, sorted(names), n=1)), "")


def nearest(name: str, names: Iterable[str], valid: str = "valid names", meant: str = "") -> str:
    """What to add after an unknown name: `did you mean lr? Valid names: lr, momentum`.

    Args:
        name: The unknown name.
        names: Those that there are.
        valid: What to call them.
        meant: The one that was probably meant, if it is not one of these.
    """
    names = sorted(names)
    meant = meant or similar(name, names)
    listed = f"{valid}: {', '.join(names) or 'none'}"
    return f"did you mean {meant}? {listed[0].upper()}{listed[1:]}" if meant else listed


def one_of(value: Any, names: Iterable[str]) -> str:
    """What is wrong with a value that must be one of the names: `must be one of adam, sgd (got 'adm')`."""
    names = sorted(names)
    meant = similar(str(value), names)
    return f"must be one of {', '.join(names)} (got {shown(value)})" + (f"; did you mean {meant}?" if meant else "")
