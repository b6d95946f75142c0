"""No early stopping: every trial runs to its end."""

from __future__ import annotations

from collections.abc import Iterable

from tune.record.trial import TrialRecord
from tune.search.schedulers.verdict import CONTINUE, Scheduler, Verdict
from tune.spec.metric import Objective
from tune.spec.options.schedulers import NoSchedulerSpec


class NoStopping(Scheduler):
    """Lets every trial continue."""

    def __init__(self, spec: NoSchedulerSpec, epochs: int, objective: Objective, seed: int) -> None:
        pass

    def judge(self, number: int, epoch: int, value: float, others: tuple[float, ...] = ()) -> Verdict:
        """As `Scheduler.judge`."""
        return CONTINUE

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """As `Scheduler.replay`."""
