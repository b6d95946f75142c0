"""A classifier judged: its predictions, their scores, and figures of them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor

import data
from tune.evaluation import figures
from tune.evaluation.inference import applying, batch_size, index_of
from tune.evaluation.result import EvaluationResult, Grid
from tune.evaluation.scores import Predictions, score
from tune.runs.weights import TrainedRun

Classifier = Callable[[Tensor], Tensor]
"""From normalized images (B, C, H, W), float32 on the CPU, to logits (B, classes) of the same kind."""


def judge(run: TrainedRun, images: data.Resident, title: str, grid: Grid | None) -> EvaluationResult:
    """Accuracies, F1, calibration and confusion; a picture of predictions on request."""
    predictions = predict(run, images)
    scores = score(predictions)
    title = f"{title}: accuracy {100 * scores['accuracy']:.2f} %"
    drawn = {"confusion": figures.confusion(scores["confusion"], run.info.classes, title)}
    if grid is not None:
        drawn["predictions"] = figures.prediction_grid(predictions, images, grid)
    return EvaluationResult(scores, predictions_table(predictions), drawn)


def predict(run: TrainedRun, images: data.Resident) -> Predictions:
    """What a run's classifier says of images on the CPU."""
    return predict_by(classifier_of(run), images, run.info.classes)


def classifier_of(run: TrainedRun) -> Classifier:
    """A run's model as a function of images on the CPU."""

    def classify(images: Tensor) -> Tensor:
        with applying(run) as device:
            return run.model(images.to(device)).float().cpu()  # type: ignore[no-any-return]

    return classify


def predict_by(classify: Classifier, images: data.Resident, classes: tuple[str, ...]) -> Predictions:
    """What any classifier says of images on the CPU."""
    logits, labels = [], []
    for batch, truth in images.batches(batch_size(images)):
        logits.append(classify(batch))
        labels.append(truth)
    return Predictions(torch.cat(logits), torch.cat(labels), index_of(images), classes)


def predictions_table(predictions: Predictions) -> pd.DataFrame:
    """One row per image: where it is, what it is, what it was taken for, and how surely."""
    probabilities, predicted, labels = predictions.probabilities, predictions.predicted, predictions.labels
    return pd.DataFrame(
        {
            "index": predictions.index.numpy(),
            "label": labels.numpy(),
            "predicted": predicted.numpy(),
            "probability": probabilities.gather(1, predicted[:, None])[:, 0].numpy(),
            "label_probability": probabilities.gather(1, labels[:, None])[:, 0].numpy(),
            "label_name": [predictions.classes[label] for label in labels.tolist()],
            "predicted_name": [predictions.classes[label] for label in predicted.tolist()],
        }
    )
