"""JSON documents, on stdout and in files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any


def json_text(document: Any, *, ascii_only: bool = False) -> str:
    """One JSON document, for programs and for people; numbers that are not finite become null.

    The two outer levels have a line per entry; deeper ones stay in that line. Half of a file name that is not UTF-8 (a
    lone surrogate) is escaped, as is every character beyond ASCII with `ascii_only`.
    """
    escaped = r"[^\x00-\x7f]" if ascii_only else r"[\ud800-\udfff]"
    return re.sub(escaped, lambda found: json.dumps(found[0])[1:-1], _text(document, 0))


def _text(value: Any, depth: int) -> str:
    if depth == 2 or not value or not isinstance(value, Mapping | list | tuple):
        return _line(value)
    indent, inner = "  " * depth, "  " * (depth + 1)
    if isinstance(value, Mapping):
        lines = [f"{_line(str(key))}: {_text(item, depth + 1)}" for key, item in value.items()]
    else:
        lines = [_text(item, depth + 1) for item in value]
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    joined = f",\n{inner}".join(lines)
    return f"{opening}\n{inner}{joined}\n{indent}{closing}"


def _line(value: Any) -> str:
    try:  # fast: a confusion matrix of 5,000 classes has 25 million numbers
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
