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

MOST_TILES = 400  # images in one picture


@dataclass(frozen=True)
class Extras:
    """What is measured and drawn on request.

    Attributes:
        predictions: Rows and columns of a picture of images with what the model makes of them; None leaves it to the
            task.
        mistakes: Rows and columns of a picture of the worst mistakes; classifiers only.
        corruptions: Measure the accuracy on corrupted images too; classifiers only.
        averaging: Measure the accuracy of logits averaged over views of each image too; classifiers only.
    """

    predictions: Grid | None = None
    mistakes: Grid | None = None
    corruptions: bool = False
    averaging: bool = False


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
        validation: Images that the model was not trained on, to calibrate it; None if the run has none.
        title: The run and the split, in words.
        extras: What is asked for; there are enough images for it.
    """

    def __call__(
        self, run: TrainedRun, images: data.Resident, validation: data.Resident | None, title: str, extras: Extras
    ) -> EvaluationResult:
        """Scores, table and figures."""
