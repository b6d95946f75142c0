"""Which trials to stop or pause early, and which paused ones to continue: what `search.scheduler.name` may name."""

from __future__ import annotations

from collections.abc import Callable

from tune.search.schedulers.asha import PromotingAsha, StoppingAsha
from tune.search.schedulers.verdict import Action, Scheduler, Verdict
from tune.spec.metric import Objective
from tune.spec.search import SchedulerSpec

__all__ = ["SCHEDULERS", "Action", "Scheduler", "Verdict"]


def asha(spec: SchedulerSpec, epochs: int, objective: Objective, seed: int) -> Scheduler:
    """Asynchronous successive halving of the type that the specification names."""
    return (PromotingAsha if spec.type == "promotion" else StoppingAsha)(spec, epochs, objective, seed)


SCHEDULERS: dict[str, Callable[[SchedulerSpec, int, Objective, int], Scheduler | None]] = {
    "asha": asha,
    "none": lambda spec, epochs, objective, seed: None,
}
"""By name, as in `SchedulerSpec.name`: (specification, epochs of the longest trial, objective, seed) -> a scheduler."""
