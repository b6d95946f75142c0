"""The statuses of trials."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The status of a trial, as in the tables."""

    WAITING = "waiting"
    """Not running: not started yet, or interrupted, to be resumed after its last epoch."""
    RUNNING = "running"
    PAUSED = "paused"
    """At a rung of the scheduler, which has not chosen it to continue."""
    COMPLETED = "completed"
    """Ran all its epochs, or ended by its own early stopping."""
    STOPPED = "stopped"
    """Ended by the scheduler; the reason says why."""
    DIVERGED = "diverged"
    """Its loss became NaN or infinite."""
    OUT_OF_MEMORY = "out_of_memory"
    """It ran out of memory, on its GPU or its host; twice, if other trials were running the first time."""
    INFEASIBLE = "infeasible"
    """Its configuration cannot be trained, wherever that is tried; does not count against the number of trials."""
    FAILED = "failed"
    """It failed, also when it was tried again: an error, unusable images, a hang, a worker lost too often."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the trial."""
        return self not in (Status.WAITING, Status.RUNNING, Status.PAUSED)

    @property
    def bad(self) -> bool:
        """Whether the configuration itself is to blame; samplers see a violated constraint."""
        return self in (Status.DIVERGED, Status.OUT_OF_MEMORY, Status.INFEASIBLE)
