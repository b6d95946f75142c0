"""Places where Ray (2.60) leaves us no setting, replaced while a search runs."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ray._private import ray_constants, utils, worker
from ray._private.node import Node
from ray.air._internal import usage
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from tune.errors import named_line


class WorkerDiedError(RayActorError):
    """A worker died, as an error that Tune knows. `memory`: Ray killed it because its node ran out of memory."""

    def __init__(self, text: str, memory: bool) -> None:
        super().__init__(error_msg=text)
        self.memory = memory


def known_to_tune(error: Exception) -> Exception:
    """The error itself, or the same as one that Tune's actor manager can handle."""
    if not isinstance(error, RayError) or isinstance(error, RayActorError | RayTaskError):
        return error
    return WorkerDiedError(named_line(error), isinstance(error, OutOfMemoryError))


@contextmanager
def workers_may_die() -> Iterator[None]:
    """For the block, a worker's death costs Tune that trial, not the search.

    Tune's actor manager knows the errors of a task and those of an actor, and aborts at any other. What Ray raises for
    a worker that it killed to free memory (`OutOfMemoryError`) is neither, nor is a `NodeDiedError`.
    """
    original = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        original(self, tracked_actor_task, known_to_tune(exception))

    with _replaced(RayActorManager, "_actor_task_failed", failed):
        yield


@contextmanager
def callbacks_uncounted() -> Iterator[None]:
    """For the block, Ray does not count kinds of callbacks for its statistics of use.

    To know them, it imports MLflow, W&B and Comet where they are installed: a second before the first trial.
    """
    with _replaced(usage, "tag_callbacks", lambda callbacks: False):
        yield


@contextmanager
def no_error_messages() -> Iterator[None]:
    """For the block, Ray prints no messages of the cluster.

    It prints them on stdout, in colour, whatever `log_to_driver` says: a paragraph for each worker that dies. We print
    a line for each ourselves. Nor does the colorama that it brings write `ESC [0m` when Python ends: it would take
    what stdout was during the search, a live page that shows it as text.
    """
    try:
        with _replaced(worker, "print_to_stdstream", lambda data, ignore_prefix: None):
            yield
    finally:
        if (colorama := sys.modules.get("colorama.initialise")) is not None:
            atexit.unregister(colorama.reset_all)


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def killed_at_once() -> Iterator[None]:
    """For the block, Ray's shutdown kills its processes: it would give each a second, which its node never needs less.

    Nothing of theirs is kept, and what they leave running is ended by `reaped`.
    """

    def kill_all(self: Node, check_alive: bool = True, allow_graceful: bool = False, wait: bool = False) -> None:
        original(self, check_alive=check_alive, allow_graceful=False, wait=wait)

    original = Node.kill_all_processes
    with _replaced(Node, "kill_all_processes", kill_all):
        yield


@contextmanager
def without_dashboard() -> Iterator[None]:
    """For the block, Ray starts as it does where its dashboard is not installed (`ray[default]`): in half the time.

    Nor does it start three processes of which a search uses nothing: the dashboard's server, of which a part runs
    without a dashboard too, the autoscaler, and what sends the workers' output to the driver. Each takes a second or
    two to import Ray, and the driver would wait for the first.
    """
    missing = ImportError("imagetune needs no dashboard")
    with ExitStack() as replaced:
        replaced.enter_context(_replaced(utils, "get_dashboard_dependency_error", lambda: missing))
        for start in ("start_api_server", "start_monitor", "start_log_monitor"):
            replaced.enter_context(_replaced(Node, start, lambda node, **options: None))
        yield


@contextmanager
def on_this_machine_only() -> Iterator[None]:
    """For the block, Ray starts as it does on macOS: every port that it opens is one of 127.0.0.1.

    Elsewhere it takes the machine's address on the network even where 127.0.0.1 is asked for, and all its processes
    listen on every address.
    """
    with _replaced(ray_constants, "ENABLE_RAY_CLUSTER", False):
        yield
