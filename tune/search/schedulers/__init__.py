"""Which trials to stop or pause early, and which paused ones to continue: what `search.scheduler.name` may name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tune.search.schedulers.asha import asha
from tune.search.schedulers.hyperband import hyperband
from tune.search.schedulers.median import MedianStopping
from tune.search.schedulers.verdict import Action, Scheduler, Verdict
from tune.spec.metric import Objective
from tune.spec.search import SearchSpec

__all__ = ["SCHEDULERS", "Action", "Scheduler", "Verdict", "scheduler_of"]

SCHEDULERS: dict[str, Callable[[Any, int, Objective, int], Scheduler | None]] = {
    "asha": asha,
    "hyperband": hyperband,
    "median": MedianStopping,
    "none": lambda spec, epochs, objective, seed: None,
}
"""By name, as in `tune.spec.options.schedulers.SCHEDULERS`.

(its specification there, epochs of the longest trial, objective, seed) -> a scheduler.
"""


def scheduler_of(spec: SearchSpec) -> Scheduler | None:
    """The scheduler of a search; None if every trial runs to its end."""
    options = spec.search.scheduler
    return SCHEDULERS[options.name](options, spec.longest, spec.search.objective, spec.seed)
