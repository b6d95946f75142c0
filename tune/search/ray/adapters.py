"""The driver behind Ray Tune's interfaces: Ray executes, the driver decides and remembers.

Ray asks our Searcher for trials, and our scheduler what to do with each result; both hand on to the driver. Ray's own
memory (snapshots, `Tuner.restore`) is not used.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import ray
from ray.exceptions import ActorUnavailableError
from ray.tune import Callback, PlacementGroupFactory, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tune.errors import MOST, first_line, named_line
from tune.search.driver import Driver, NoTrial
from tune.search.ray.nodes import NodeImages
from tune.search.ray.patch import WorkerDiedError
from tune.search.ray.trial_worker import ASSIGNMENT, NODE_ID, REPORT
from tune.search.worker.messages import Report


class Unsaved:
    """Tune pickles all it is given into a snapshot that nobody reads; the driver stays out of it."""

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, ("not saved: the record has it all",)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class DriverSearcher(Unsaved, Searcher):
    """Ray's question "which configuration next?", answered by the driver."""

    def __init__(self, driver: Driver, room_for: Callable[[int], bool]) -> None:
        """`room_for` tells whether the nodes hold one more trial than so many."""
        super().__init__()
        self._driver, self._room_for = driver, room_for
        self.numbers: dict[str, int] = {}  # Ray's trial id -> our number

    def suggest(self, trial_id: str) -> Any:
        """The next attempt, None to wait, or FINISHED."""
        if not self._driver.halt and not self._room_for(len(self._driver.ledger.live)):
            return None
        answer = self._driver.next()
        if answer is NoTrial.DONE:
            return Searcher.FINISHED
        if isinstance(answer, NoTrial):
            return None
        self.numbers[trial_id] = answer.trial
        return {ASSIGNMENT: json.dumps(dataclasses.asdict(answer))}  # a text: Ray would look for domains in a mapping

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the scheduler records results, and is told of errors with their cause."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the record has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the record has it all."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing: the record has it all."""


class DriverScheduler(Unsaved, FIFOScheduler):
    """Ray's question "continue or stop?", answered by the driver, which records before it answers."""

    def __init__(
        self,
        driver: Driver,
        searcher: DriverSearcher,
        placement: Callable[[], PlacementGroupFactory],
        images: NodeImages | None = None,
    ) -> None:
        """Decide nothing yet.

        Args:
            driver: Of the search.
            searcher: Knows the trials' numbers.
            placement: What a trial that is started now reserves, and on which nodes.
            images: Which nodes have the images; None where all do.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._driver, self._searcher, self._placement, self._images = driver, searcher, placement, images
        self._pending: list[Trial] = []

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Remember it for `choose_trial_to_run`; keep it off the nodes that have turned out to have no images."""
        trial.update_resources(self._placement())
        self._pending.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The newest: it takes the process that the last trial left, while an older one's own is starting.

        Ray's own takes the oldest, which gives its starting process up for the one left over: with trials shorter than
        the start of a process, a second one never gets to work. And it looks through every trial of the search.
        """
        self._pending = [trial for trial in self._pending if trial.status == Trial.PENDING]
        return self._pending[-1] if self._pending else None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Enter the result; CONTINUE or STOP."""
        number, report = self._searcher.numbers[trial.trial_id], Report.from_dict(result[REPORT][0])
        if report.end == "failed" and self._images is not None and not self._images.has(result[NODE_ID]):
            reason = f"node {report.node}, which has just joined, is not known to have the images; starting on another"
            self._driver.requeue(number, reason)
            return TrialScheduler.STOP
        return TrialScheduler.STOP if self._driver.report(number, report) else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A worker died: its node was lost, it ran out of memory, it crashed."""
        if self._driver.halt:
            return  # we ended it ourselves
        error = error_of(trial)
        number = self._searcher.numbers[trial.trial_id]
        if "exit_actor()" in str(error):
            self._driver.requeue(number, "starting in a new worker process")
            return
        if isinstance(error, ActorUnavailableError):  # Ray's words are an id, and what a connection is
            reason = "its worker cannot be reached"
        else:
            reason = first_line(error, MOST) if isinstance(error, WorkerDiedError) else named_line(error)
        self._driver.worker_died(number, reason, out_of_memory=isinstance(error, WorkerDiedError) and error.memory)


def error_of(trial: Trial) -> Exception:
    """Why a trial's worker is gone. `Trial.get_pickled_error` looks where Tune has not put the error yet: None."""
    path = Path(trial.pickled_error_file or "")
    if not path.is_file():
        return RuntimeError("Ray gave no reason")
    error = pickle.loads(path.read_bytes())  # written by this process a moment ago
    assert isinstance(error, Exception)
    return error


class Halt(Unsaved, Stopper):
    """Ends Ray's loop when the driver halts."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Single trials are stopped by the scheduler."""
        return False

    def stop_all(self) -> bool:
        """Asked at every turn of Ray's loop."""
        return bool(self._driver.halt)


class Watch(Unsaved, Callback):
    """At every turn of Ray's loop: the display, hung trials, and at a halt the workers' processes."""

    def __init__(self, driver: Driver, searcher: DriverSearcher) -> None:
        self._driver, self._searcher = driver, searcher

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A node has taken the trial: from now on it may be late."""
        self._driver.ledger.heartbeat(self._searcher.numbers[trial.trial_id])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Kill the workers that have to stop: in the middle of an epoch they cannot be asked to."""
        hung = set(self._driver.poll())
        if not hung and not self._driver.halt:
            return
        for trial in trials:
            number = self._searcher.numbers.get(trial.trial_id)
            actor = trial.temporary_state.ray_actor
            if actor is not None and trial.status == Trial.RUNNING and (self._driver.halt or number in hung):
                ray.kill(actor, no_restart=True)
