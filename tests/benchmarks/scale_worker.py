"""Trainables that do nothing, for the benchmark of scale; importable by the workers."""

from __future__ import annotations

from tests.benchmarks.scale import loss
from tune.search.ray.trial_worker import TrialWorker
from tune.search.worker.messages import Assignment, Job, Report, Steps
from tune.spec.metric import EpochMetrics


class Nothing:
    """Reports the tabulated loss."""

    def __init__(self, job: Job, assignment: Assignment) -> None:
        self._config, self._last, self._epoch = assignment.config, job.epochs, 0

    def step(self) -> Report:
        """An epoch of no work."""
        self._epoch += 1
        values = {"val_loss": loss(self._config, self._epoch)}
        return Report((EpochMetrics(self._epoch, values, 0.1, 0.0),), "epochs" if self._epoch == self._last else None)


class NothingWorker(TrialWorker):
    """Ours."""

    def attempt(self, job: Job, assignment: Assignment) -> Steps:
        """Nothing in the attempt's place."""
        return Nothing(job, assignment)
