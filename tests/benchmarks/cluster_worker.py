"""Trainables that do nothing and import no torch, so that hundreds fit on a small machine; importable by the workers."""

from __future__ import annotations

import json
from typing import Any

from ray import tune as ray_tune

from tests.benchmarks.scale import loss
from tune.search.worker.messages import Report
from tune.spec.metric import EpochMetrics


class Nothing(ray_tune.Trainable):
    """Ours: what `TrialWorker` does, with a tabulated loss in the training's place."""

    def setup(self, config: dict[str, Any], job: Any = None) -> None:
        """Begin."""
        self._job = job
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin again."""
        self._config, self._epoch = json.loads(new_config["assignment"])["config"], 0
        return True

    def step(self) -> dict[str, Any]:
        """An epoch of no work."""
        self._epoch += 1
        values = {"val_loss": loss(self._config, self._epoch)}
        end = "epochs" if self._epoch == self._job.epochs else None
        return {"report": [Report((EpochMetrics(self._epoch, values, 0.1, 0.0),), end).to_dict()]}


class RayNothing(ray_tune.Trainable):
    """Ray's."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin."""
        self._config, self._epoch = {name: config[name] for name in ("lr", "weight_decay")}, 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin again."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, float]:
        """An epoch of no work."""
        self._epoch += 1
        return {"val_loss": loss(self._config, self._epoch)}
