"""The result of an evaluation, and what a task implements to be evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

import data
from tune.runs.weights import TrainedRun

Grid = tuple[int, int]
"""Rows and columns of a picture of images."""


@dataclass(frozen=True)
class EvaluationResult:
    """A model's results on a split.

    Attributes:
        scores: As in `evaluation.json`, from `n` on.
        table: One row per image, as in `predictions.parquet`.
        figures: Functions that draw a PNG, by file name without suffix; called once the numbers are saved.
    """

    scores: Mapping[str, Any]
    table: pd.DataFrame
    figures: Mapping[str, Callable[[], bytes]]


class Evaluator(Protocol):
    """Evaluates a run's model on images; one per task.

    Args:
        run: The run.
        images: On the CPU, normalized as in training; at least one.
        title: The run and the split, in words.
        grid: Rows and columns of the picture of images to draw; there are enough images. None: the task's own choice.
    """

    def __call__(self, run: TrainedRun, images: data.Resident, title: str, grid: Grid | None) -> EvaluationResult:
        """Scores, table and figures."""
