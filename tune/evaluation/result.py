"""What an evaluation comes to, whatever the task: the seam between `evaluate` and the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

import data
from tune.runs.weights import TrainedRun

Grid = tuple[int, int]
"""Rows and columns of a picture of images."""


@dataclass(frozen=True)
class EvaluationResult:
    """What a task says of a model on a split.

    Attributes:
        scores: As in `evaluation.json`, from `n` on.
        table: One row per image, as in `predictions.parquet`.
        figures: PNG files by name, without the suffix.
    """

    scores: Mapping[str, Any]
    table: pd.DataFrame
    figures: Mapping[str, bytes]


class Evaluator(Protocol):
    """How a task judges a run's model on images.

    Args:
        run: Whose model.
        images: On the CPU, normalized as in training; at least one.
        title: What is judged on what, in words.
        grid: Asks for a picture of so many images; there are as many.
    """

    def __call__(self, run: TrainedRun, images: data.Resident, title: str, grid: Grid | None) -> EvaluationResult:
        """Scores, table and figures."""
