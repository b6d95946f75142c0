"""A gap of Ray Tune's mended: a worker that Ray kills to save its node's memory costs its trial, not the search.

Tune's actor manager knows two kinds of errors, those of a task and those of an actor, and breaks off at any other. What
Ray raises for a worker it killed for memory (`OutOfMemoryError`) is neither (2.60); nor is a `NodeDiedError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError


class WorkerLostError(RayActorError):
    """A worker is gone, in the form in which Tune understands it. `memory`: Ray killed it, its node had none left."""

    def __init__(self, text: str, memory: bool) -> None:
        super().__init__(error_msg=text)
        self.memory = memory


def understood(error: Exception) -> Exception:
    """The error as Tune's actor manager understands it."""
    if not isinstance(error, RayError) or isinstance(error, RayActorError | RayTaskError):
        return error
    text = (str(error).strip().splitlines() or [""])[0]
    return WorkerLostError(f"{type(error).__name__}: {text}", isinstance(error, OutOfMemoryError))


@contextmanager
def workers_may_be_lost() -> Iterator[None]:
    """For the block, Tune takes any loss of a worker as the end of its trial alone."""
    name = "_actor_task_failed"
    original = getattr(RayActorManager, name)

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        original(self, tracked_actor_task, understood(exception))

    setattr(RayActorManager, name, failed)
    try:
        yield
    finally:
        setattr(RayActorManager, name, original)
