"""Evaluate a classifier: its predictions, their scores, and figures of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import data
from tune.evaluation.calibration import MOST_LOGITS, fit_temperature
from tune.evaluation.inference import applying, batch_size, index_of
from tune.evaluation.result import EvaluationResult, Extras
from tune.evaluation.scores import Predictions, score
from tune.runs.weights import TrainedRun

Classifier = Callable[[Tensor], Tensor]
"""From normalized images (B, C, H, W), float32 on the CPU, to logits (B, classes), float32 on the CPU."""

CALIBRATION_SEED = 0


def evaluate(
    run: TrainedRun, images: data.Resident, validation: data.Resident | None, title: str, extras: Extras
) -> EvaluationResult:
    """Accuracies, F1, calibration and confusion, with figures; pictures of predictions and mistakes on request."""
    from tune.evaluation import figures, tiles  # matplotlib, which prediction and export do not need

    classes, classify = run.info.classes, classifier_of(run)
    calibrating = None if validation is None else _calibrating(validation, len(classes))
    temperature = None if calibrating is None else fit_temperature(logits(classify, calibrating, len(classes)))
    found = predict_by(classify, images, classes, temperature)
    scores = score(found, fitted_on=0 if calibrating is None else len(calibrating))
    title = f"{title}: accuracy {100 * scores['accuracy']:.2f} %"
    drawn = {
        "confusion": partial(figures.confusion, scores["confusion"], classes, title),
        "calibration": partial(figures.calibration, scores["calibration"], title),
    }
    wrong = not found.right.all()
    if wrong:
        drawn["confused_pairs"] = partial(tiles.confused, found, images, np.asarray(scores["confusion"]), title)
    if extras.predictions is not None:
        drawn["predictions"] = partial(tiles.predictions, found, images, extras.predictions, title)
    if extras.mistakes is not None and wrong:
        drawn["mistakes"] = partial(tiles.mistakes, found, images, extras.mistakes, title)
    return EvaluationResult(scores, predictions_table(found), drawn)


def _calibrating(validation: data.Resident, classes: int) -> data.Resident:
    """The images that a temperature is fitted on: all, or a random choice, the same each time."""
    most = max(1, MOST_LOGITS // classes)
    if len(validation) <= most:
        return validation
    drawn = torch.randperm(len(validation), generator=torch.Generator().manual_seed(CALIBRATION_SEED))[:most]
    index = index_of(validation)[drawn]
    return data.Resident(validation.images, validation.labels, index, normalization=validation.normalization)


def classifier_of(run: TrainedRun) -> Classifier:
    """A run's model as a function of images on the CPU."""

    def classify(images: Tensor) -> Tensor:
        with applying(run) as device:
            return run.model(images.to(device)).float().cpu()  # type: ignore[no-any-return]

    return classify


def predict_by(
    classify: Classifier, images: data.Resident, classes: tuple[str, ...], temperature: float | None = None
) -> Predictions:
    """What any classifier predicts for images on the CPU, and with which confidence at a temperature."""
    return Predictions.of(logits(classify, images, len(classes)), index_of(images), classes, temperature)


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
    """One row per image: its index, its label, the class predicted, the probabilities of both, and the loss."""
    labels, predicted = predictions.labels.numpy(), predictions.predicted.numpy()
    names = pd.Series(predictions.classes, dtype=object)
    return pd.DataFrame(
        {
            "index": predictions.index.numpy(),
            "label": labels,
            "predicted": predicted,
            "probability": predictions.probability.numpy(),
            "label_probability": predictions.label_probability.numpy(),
            "loss": predictions.loss.numpy(),
            "label_name": names[labels].to_numpy(),
            "predicted_name": names[predicted].to_numpy(),
        }
    )
