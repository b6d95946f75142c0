"""Evaluate a classifier: its predictions, their scores, and figures of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd
from torch import Tensor

import data
from tune.evaluation import figures
from tune.evaluation.inference import applying, batch_size, index_of
from tune.evaluation.result import EvaluationResult, Grid
from tune.evaluation.scores import Predictions, score
from tune.runs.weights import TrainedRun

Classifier = Callable[[Tensor], Tensor]
"""From normalized images (B, C, H, W), float32 on the CPU, to logits (B, classes), float32 on the CPU."""


def evaluate(run: TrainedRun, images: data.Resident, title: str, grid: Grid | None) -> EvaluationResult:
    """Accuracies, F1, calibration and confusion; a picture of predictions on request."""
    predictions = predict_by(classifier_of(run), images, run.info.classes)
    scores = score(predictions)
    title = f"{title}: accuracy {100 * scores['accuracy']:.2f} %"
    drawn = {"confusion": partial(figures.confusion, scores["confusion"], run.info.classes, title)}
    if grid is not None:
        drawn["predictions"] = partial(figures.prediction_grid, predictions, images, grid)
    return EvaluationResult(scores, predictions_table(predictions), drawn)


def classifier_of(run: TrainedRun) -> Classifier:
    """A run's model as a function of images on the CPU."""

    def classify(images: Tensor) -> Tensor:
        with applying(run) as device:
            return run.model(images.to(device)).float().cpu()  # type: ignore[no-any-return]

    return classify


def predict_by(classify: Classifier, images: data.Resident, classes: tuple[str, ...]) -> Predictions:
    """What any classifier predicts for images on the CPU."""
    return Predictions.of(logits(classify, images, len(classes)), index_of(images), classes)


def top(run: TrainedRun, images: data.Resident, k: int) -> Iterator[list[tuple[str, float]]]:
    """The k most probable classes of each image with their probabilities, best first; all where there are fewer."""
    classes = run.info.classes
    for batch, _ in logits(classifier_of(run), images, len(classes)):
        best = batch.double().softmax(1).topk(min(k, len(classes)), dim=1)
        for values, labels in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            yield [(classes[label], value) for label, value in zip(labels, values, strict=True)]


def logits(classify: Classifier, images: data.Resident, classes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of logits (B, classes) and labels (B,)."""
    for batch, labels in images.batches(batch_size(images, classes)):
        yield classify(batch), labels


def predictions_table(predictions: Predictions) -> pd.DataFrame:
    """One row per image: its index, its label, the class predicted, and the probabilities of both."""
    labels, predicted = predictions.labels.numpy(), predictions.predicted.numpy()
    names = pd.Series(predictions.classes, dtype=object)
    return pd.DataFrame(
        {
            "index": predictions.index.numpy(),
            "label": labels,
            "predicted": predicted,
            "probability": predictions.probability.numpy(),
            "label_probability": predictions.label_probability.numpy(),
            "label_name": names[labels].to_numpy(),
            "predicted_name": names[predicted].to_numpy(),
        }
    )
