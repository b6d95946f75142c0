"""The one error this package raises for a user's mistake, and how it words what is legal."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence


class ModelError(ValueError):
    """A model that does not exist or cannot be built: one line with the condition, the value, and what is legal."""


def unknown(kind: str, value: object, legal: Collection[str]) -> ModelError:
    """Return the error for a name that is not among the legal ones, with the full list and the nearest of them.

    Args:
        kind: what was looked up, as it reads in a sentence ("model", "option of classifier").
        value: what was given.
        legal: every name that would have been accepted; may be empty.
    """
    if not legal:
        return ModelError(f"unknown {kind}: {value!r}; there is none")
    (nearest,) = difflib.get_close_matches(str(value), legal, n=1, cutoff=0.0)
    return ModelError(f"unknown {kind}: {value!r}; nearest: {nearest!r}; known: {', '.join(legal)}")


def check_sides(
    name: str, least: int, reason: str, input_shape: Sequence[int], classes: int, **_options: object
) -> None:
    """Raise `ModelError` if the image has a side below `least` pixels.

    Args:
        name: of the model.
        least: the smallest legal side, in pixels.
        reason: what becomes of a smaller image, as it reads after "an image of 3 x 5 pixels".
        input_shape: (C, H, W), in pixels.
        classes: not used.
    """
    _, height, width = input_shape
    if min(height, width) < least:
        raise ModelError(
            f"{name}: an image of {height} x {width} pixels {reason}; legal: sides of at least {least} pixels"
        )
