"""How messages, figures and pages write numbers of things, lists, and names that users gave; `tune` uses them too."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from itertools import accumulate

_JOINERS = "\u200c\u200d"  # between letters of some scripts, and between the parts of some emoji


def counted(number: int, thing: str, things: str = "") -> str:
    """A number of things, as ``1 image``, ``2,000 test images`` or ``3 classes``.

    Args:
        number: How many.
        thing: What one of them is called.
        things: What several are called, where that is not ``thing`` with a regular ending.
    """
    return f"{number:,} {noun(number, thing, things)}"


def numbered(number: int, thing: str) -> str:
    """Things that are numbered from 0, as ``no trials``, ``trial 0`` or ``trials 0 to 4``."""
    return f"{thing} 0" if number == 1 else f"{thing}s 0 to {number - 1:,}" if number else f"no {thing}s"


def noun(number: int, thing: str, things: str = "") -> str:
    """What this many things are called: ``counted`` without the number."""
    if number == 1:
        return thing
    if things:
        return things
    if thing.endswith("y") and thing[-2] not in "aeiou":
        return f"{thing[:-1]}ies"
    hissing = thing.endswith(("s", "sh", "ch", "x")) and not thing.endswith("epoch")
    return f"{thing}es" if hissing else f"{thing}s"


def listed(parts: Iterable[str]) -> str:
    """``a, b and c``; ``none`` where there are none."""
    *first, last = [*parts] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def shortened(names: Iterable[str], most: int = 3) -> str:
    """The first few of many names, and how many more there are: ``a, b, c and 12 more``."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def clipped(text: str, most: int) -> str:
    """A text no wider than this many letters; the middle of a wider one is left out. Letters of Chinese count twice."""
    if sum(map(_width, text)) <= most:
        return text
    return f"{_beginning(text, most // 2)}…{_beginning(text[::-1], most - 1 - most // 2)[::-1]}"


def _width(letter: str) -> int:
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _beginning(text: str, most: int) -> str:
    ends = accumulate(map(_width, text))
    return "".join(letter for letter, end in zip(text, ends, strict=True) if end <= most)


def label(name: str, path: str | None) -> str:
    """What people call a data set: its name, or for their own images the name of the folder."""
    return name if path is None else os.path.basename(os.path.normpath(path)) or path


def quoted(name: str) -> str:
    """A name in quotes, as the user typed it, on one line."""
    mark = '"' if "'" in name and '"' not in name else "'"
    return f"{mark}{printable(name)}{mark}"


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8: not if it has bytes that Python had to stand in for."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    r"""Text on one line: line breaks, control characters, and bytes that are not UTF-8 as escapes (``caf\xe9``)."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # a byte of a file name, in Python's stand-in for it
        return f"\\x{ord(letter) - 0xDC00:02x}"
    if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in _JOINERS:
        return letter.encode("unicode_escape").decode()
    return letter
