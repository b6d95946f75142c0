"""The one error this package raises for a user's mistake, and how it words what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection


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
