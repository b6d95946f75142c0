"""Attempts at the trials of a small search that really train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tune.search.simulation import spec_of
from tune.search.worker.attempt import Attempt
from tune.search.worker.messages import Assignment, Job

DIGITS = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 4, optimizer: {name: sgd}, threads: 1}
space:
  training.optimizer.lr: {float: [1e-4, 1e300], log: true}
search: {trials: 2}
"""


def job(folder: Path, gpu: float = 0.0, place: str = "") -> Job:
    """`place`: of the search, if it is not that folder."""
    spec = spec_of(folder, DIGITS)
    return Job(spec.base, place or str(folder), str(folder / "data"), "val_loss", None, gpu)


def attempt(folder: Path, token: str = "a", lr: float = 0.01, **options: Any) -> Attempt:
    return Attempt(job(folder, **options), Assignment(0, token, {"training.optimizer.lr": lr}))
