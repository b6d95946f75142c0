"""A search as Prometheus metrics, which every node of a Ray cluster exports where Ray's dashboard is installed."""

from __future__ import annotations

import time
from typing import Any

from tune.record.observer import Observer
from tune.record.status import Status
from tune.spec.metric import EpochMetrics

EVERY = 5.0  # seconds between two updates; Ray itself exports every 10


class ClusterMetrics(Observer):
    """`ray_imagetune_trials` by status, `ray_imagetune_epochs_total` and `ray_imagetune_best`, each by search."""

    def __init__(self, search: str) -> None:
        from ray.util.metrics import Counter, Gauge

        self._tags = {"search": search}
        self._trials = Gauge("imagetune_trials", "Trials by status.", ("search", "status"))
        self._epochs = Counter("imagetune_epochs", "Epochs trained, over all trials.", ("search",))
        self._best = Gauge("imagetune_best", "The best value of the search's metric so far.", ("search", "metric"))
        self._due = 0.0

    def epoch(self, trial: int | None, metrics: EpochMetrics) -> None:
        """Count it."""
        self._epochs.inc(tags=self._tags)

    def tick(self, search: Any) -> None:
        """Update the others now and then: the best trial is looked for among all."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY
            self.over(search)

    def over(self, search: Any) -> None:
        """The figures as they are now."""
        counts, objective = search.counts, search.record.objective
        for status in Status:
            self._trials.set(counts[status], self._tags | {"status": str(status)})
        best = search.best
        if best is not None and (found := best.result(objective)) is not None:
            name = objective.metric.name
            self._best.set(found[name], self._tags | {"metric": name})
