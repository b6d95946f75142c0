"""The checkpoints of a trial: their names, and which of them to go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tune.training import CheckpointError, load

LAST = "last-*.pt"  # each attempt has a name of its own, so that a dead driver's worker cannot overwrite another's
REPLICATE = "replicate{}-*.pt"  # the same where a trial trains its second seed (1) or a later one


def furthest(
    paths: Iterable[Path], preferred: Callable[[list[Any]], bool] = lambda history: False
) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint with most epochs, and its content; None if all are damaged, something else, or missing.

    Those whose history is `preferred` come before all others.
    """
    found = [(path, state) for path in paths if (state := _whole_state(path)) is not None]
    return max(found, key=lambda one: (preferred(one[1]["history"]), len(one[1]["history"])), default=None)


def _whole_state(path: Path) -> dict[str, Any] | None:
    try:
        state = load(path)
    except CheckpointError:
        return None
    return state if isinstance(state.get("history"), list) and "best_weights" in state else None
