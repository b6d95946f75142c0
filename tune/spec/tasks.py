"""What belongs to one task: the metrics of its epochs, and the fields of a recipe that mean nothing to the others."""

from __future__ import annotations

METRICS: dict[str, tuple[str, ...]] = {
    "classification": ("loss", "accuracy"),
    "reconstruction": ("loss", "reconstruction", "kl"),
}
"""By task (`models.get(...).task`), without the prefixes `train_` and `val_`. All but accuracies are to be small."""

OWN_FIELDS = {"label_smoothing": "classification", "beta": "reconstruction"}
"""Fields below `training` with their task."""


def metrics_of(task: str) -> list[str]:
    """The metrics of an epoch of this task, by their whole names."""
    return [f"{part}_{name}" for part in ("train", "val") for name in METRICS[task]]
