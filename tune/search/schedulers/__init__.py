"""Which trials to stop early: the schedulers that `search.scheduler.name` may name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from tune.record.study import TrialRecord
from tune.search.schedulers.asha import Asha
from tune.spec.metric import Objective
from tune.spec.search import SchedulerSpec


class Scheduler(Protocol):
    """Judges trials after their epochs. What it remembers is restored from the record by `replay`."""

    @property
    def rungs(self) -> list[tuple[int, int]]:
        """Pairs (epoch at which trials are judged, number of results there), by epoch."""

    def judge(self, number: int, epoch: int, value: float) -> str | None:
        """Enter a trial's value after an epoch; the reason to stop it there, or None."""

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """Enter what was recorded, except for the last epochs of trials that have not ended."""


SCHEDULERS: dict[str, Callable[[SchedulerSpec, int, Objective, int], Scheduler | None]] = {
    "asha": Asha,
    "none": lambda spec, epochs, objective, seed: None,
}
"""By name, as in `SchedulerSpec.name`: (specification, epochs of the longest trial, objective, seed) -> a scheduler."""
