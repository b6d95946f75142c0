"""The one error this package raises for a user's mistake."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence


class ModelError(ValueError):
    """A model that does not exist or cannot be built. One line: what is wrong, the value, and what would work."""


def unknown(kind: str, value: object, known: Collection[str]) -> ModelError:
    """Return the error for a name that does not exist.

    Args:
        kind: what the name should be, as it reads in a sentence ("model", "option of classifier").
        value: what was given.
        known: all valid names; may be empty.
    """
    told = f"unknown {kind} {shown(value)}"
    if not known:
        return ModelError(f"{told}; there are none")
    close = difflib.get_close_matches(str(value), known, n=1)
    valid = f"alid names: {', '.join(known)}"
    return ModelError(f"{told}; did you mean {close[0]}? V{valid}" if close else f"{told}; v{valid}")


def shown(value: object) -> str:
    """A value in a message; text in quotes, as it was typed."""
    return f"'{value}'" if isinstance(value, str) else repr(value)


def check_sides(
    name: str, least: int, reason: str, input_shape: Sequence[int], classes: int, **_options: object
) -> None:
    """Raise `ModelError` if a side of the image is shorter than `least` pixels.

    Args:
        name: of the model.
        least: the shortest side that works, in pixels.
        reason: why, as a clause.
        input_shape: (C, H, W), in pixels.
        classes: not used.
    """
    _, height, width = input_shape
    if min(height, width) < least:
        raise ModelError(
            f"{name}: images must be at least {least} x {least} pixels (got {height} x {width}), since {reason}"
        )
