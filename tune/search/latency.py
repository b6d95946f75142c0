"""The latency of models that a search may try, measured once each and remembered in its record."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

import models
from tune.evaluation.timing import measure_latency
from tune.record.study import Record
from tune.training import cpu_threads

NOTE = "latency:"  # what the keys of the notes begin with; a digest of the model follows
SECONDS = 0.1  # to measure for, at least


class Latencies:
    """Measures models on this machine. What was measured is noted in the record: a resumed search decides alike."""

    def __init__(self, record: Record) -> None:
        self._record = record
        notes = record.facts.items()
        self._known = {key.removeprefix(NOTE): float(value) for key, value in notes if key.startswith(NOTE)}

    def of(self, model: Any, input_shape: tuple[int, int, int], classes: int) -> float:
        """Milliseconds that the model of an experiment takes for one image, on one CPU core, in float32."""
        text = json.dumps([model.model_dump(mode="json"), input_shape, classes], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        if digest not in self._known:
            value = float(f"{_measured(model, input_shape, classes):.4g}")
            self._record.note(f"{NOTE}{digest}", value)
            self._known[digest] = value
        return self._known[digest]


def _measured(model: Any, input_shape: tuple[int, int, int], classes: int) -> float:
    network = models.build(model.name, input_shape, classes, **model.options()).eval()
    with cpu_threads(1), torch.inference_mode():
        return measure_latency(network, torch.zeros(1, *input_shape), seconds=SECONDS).quartiles[1]
