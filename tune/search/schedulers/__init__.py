"""Which trials to stop or pause early, and which paused ones to continue: what `search.scheduler.name` may name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tune.search.schedulers.asha import asha
from tune.search.schedulers.hyperband import hyperband
from tune.search.schedulers.median import MedianStopping
from tune.search.schedulers.none import NoStopping
from tune.search.schedulers.verdict import Action, Scheduler, Verdict
from tune.spec.metric import Objective
from tune.spec.search import SearchSpec

__all__ = ["SCHEDULERS", "Action", "Scheduler", "Verdict", "scheduler_of"]

SCHEDULERS: dict[str, Callable[[Any, int, Objective, int], Scheduler]] = {
    "asha": asha,
    "hyperband": hyperband,
    "median": MedianStopping,
    "none": NoStopping,
}
"""By name, as in `tune.spec.options.schedulers.SCHEDULERS`.

(its specification there, epochs of the longest trial, objective, seed) -> a scheduler.
"""


def scheduler_of(spec: SearchSpec) -> Scheduler:
    """The scheduler of a search."""
    options = spec.search.scheduler
    return SCHEDULERS[options.name](options, spec.longest, spec.search.objective, spec.seed)
