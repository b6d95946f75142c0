"""The interface of schedulers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from tune.record.trial import TrialRecord


class Action(Enum):
    """What happens to a trial after an epoch."""

    CONTINUE = "continue"
    STOP = "stop"
    PAUSE = "pause"
    """It keeps its checkpoint, and continues only if `Scheduler.promote` chooses it."""


@dataclass(frozen=True)
class Verdict:
    """An action, and the reason where the trial stops."""

    action: Action
    reason: str = ""


CONTINUE = Verdict(Action.CONTINUE)
PAUSE = Verdict(Action.PAUSE)


class Scheduler(ABC):
    """Judges trials after their epochs. What it remembers is restored from the record by `replay`.

    Attributes:
        promise: How much each trial may gain on the best by its last epoch (large is good), where the sampler can
            tell; empty as long as it knows too little.
    """

    promise: Callable[[], Mapping[int, float]] | None = None

    @property
    def rungs(self) -> list[tuple[int, int]]:
        """Pairs (epoch at which trials are judged, number of results there), by epoch."""
        return []

    @abstractmethod
    def judge(self, number: int, epoch: int, value: float, others: tuple[float, ...] = ()) -> Verdict:
        """Enter a trial's value after an epoch, and decide what happens to it there.

        Args:
            number: The trial.
            epoch: Which.
            value: The value of `objective.metric`.
            others: With several objectives, the costs of the others there (`Objective.other_costs`).
        """

    def promote(self, *, last: bool) -> int | None:
        """A paused trial to continue now, or None.

        Args:
            last: No trial is running and none can be started, so that nobody else can earn the promotion any more.
        """
        return None

    def hopeless(self, left: int, unended: Collection[int]) -> set[int]:
        """The paused trials that can no longer be promoted.

        Args:
            left: How many trials may still be started.
            unended: The trials that have not ended.
        """
        return set()

    @abstractmethod
    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """Enter what was recorded, except for the last epochs of trials that have not ended."""
