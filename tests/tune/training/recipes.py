"""Options for every learning rate schedule and every average of the weights."""

from __future__ import annotations

from typing import Any

SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"step_size": 2},
    "multistep": {"milestones": [1, 2]},
    "cosine": {"per_batch": True, "warmup_epochs": 1.5},
    "onecycle": {"cycle_momentum": True},
    "plateau": {"patience": 0, "factor": 0.5},
}
AVERAGES: dict[str, dict[str, Any]] = {
    "none": {},
    "ema": {"decay": 0.9},
    "lookahead": {"every": 3, "alpha": 0.8},
    "swa": {"start": 0.34, "lr": 1e-3, "anneal_epochs": 2},  # from the second of three epochs
}
