"""What Ray Tune runs in each worker process. Imports nothing of the driver, so that a process is ready sooner."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import ray
from ray import tune as ray_tune

from tune.search.ray.nodes import placement
from tune.search.worker.attempt import Attempt
from tune.search.worker.devices import release_memory, settle_memory
from tune.search.worker.messages import Assignment, Job, Steps
from tune.training import prepare_process

ASSIGNMENT = "assignment"  # the key of a configuration under which the attempt travels
REPORT = "report"  # the key of a result under which the worker's report travels
NODE_ID = "node"  # and Ray's id of the node that it comes from


class TrialWorker(ray_tune.Trainable):
    """Runs attempts, one after the other, in one process: a new trial costs no new process and no new import."""

    _retire = False  # whether the last attempt has left the process unusable: its memory, or its CUDA context

    def setup(self, config: dict[str, Any], job: Job | None = None) -> None:
        """Begin the first attempt."""
        assert job is not None
        prepare_process()
        settle_memory()
        self._job, self._place = job, placement()
        self._node_id = ray.get_runtime_context().get_node_id()
        self._attempt = self.attempt(job, _assignment(config))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another attempt in the same process."""
        if self._retire:
            ray.actor.exit_actor()  # type: ignore[no-untyped-call]  # the next trial gets a new process
        del self._attempt
        release_memory()
        self._attempt = self.attempt(self._job, _assignment(new_config))
        return True

    def attempt(self, job: Job, assignment: Assignment) -> Steps:
        """What is moved on step by step; the tests put their own in its place."""
        return Attempt(job, assignment)

    def step(self) -> dict[str, Any]:
        """An epoch."""
        report = self._attempt.step()
        self._retire = report.retire
        node, gpu = self._place
        return {REPORT: [dataclasses.replace(report, node=node, gpu=gpu).to_dict()], NODE_ID: self._node_id}


def _assignment(config: dict[str, Any]) -> Assignment:
    return Assignment(**json.loads(config[ASSIGNMENT]))
