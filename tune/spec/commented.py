"""A search as a YAML file for people: one field a line, with comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tune.spec.files import value_text

_WIDTH = 110  # of a line of the file; longer ones have their comment above
_SECTIONS = ("experiment", "experiment.data", "experiment.training", "space", "search")


def commented_yaml(
    tree: Mapping[str, Any], comments: Mapping[str, str] | None = None, prefix: str = ""
) -> Iterator[str]:
    """The lines of a search: sections as blocks, everything else on one line.

    Args:
        tree: The sections of a search, as plain values.
        comments: By dotted name.
        prefix: Of the names in `tree`, with a dot at its end.
    """
    comments = comments or {}
    pad = "  " * (sum(prefix.startswith(f"{section}.") for section in _SECTIONS))
    for key, value in tree.items():
        name = f"{prefix}{key}"
        line = f"{pad}{key}:" if name in _SECTIONS else f"{pad}{key}: {_on_one_line(value)}"
        comment = f"  # {comments[name]}" if name in comments else ""
        if len(line + comment) > _WIDTH:
            yield f"{pad}{comment.strip()}"
            comment = ""
        yield line + comment
        if name in _SECTIONS:
            yield from commented_yaml(value, comments, f"{name}.")


def _on_one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_on_one_line(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_on_one_line, value))}]"
    return value_text([value])[1:-1]  # within a list, text is quoted where it must be
