"""What `imagetune evaluate` has saved about a run on its test images."""

from __future__ import annotations

import json
from typing import Any

from tune.errors import WorkError
from tune.record.folder import RunFolder
from tune.training import CheckpointError, load_weights


def read_evaluation(folder: RunFolder) -> dict[str, Any] | None:
    """The content of `evaluation.json`; None if the run has not been evaluated, or not since it was trained further.

    Raises:
        WorkError: The file is damaged.
    """
    try:
        found = json.loads(folder.evaluation.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"not a mapping but {type(found).__name__}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WorkError(f"{folder.evaluation} is damaged ({error}); run `imagetune evaluate {folder.path}`") from None
    try:
        _, facts = load_weights(folder.weights)
    except CheckpointError:  # without weights, there is nothing newer
        return found
    epoch = found.get("epoch")  # earlier versions have none
    return found if epoch is None or str(epoch) == facts["epoch"] else None
