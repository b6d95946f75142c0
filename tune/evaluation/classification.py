"""Evaluate a classifier: its predictions, their scores, and figures of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd
from torch import Tensor, nn

import data
from tune.evaluation import views
from tune.evaluation.calibration import MOST_LOGITS, fit_temperature
from tune.evaluation.inference import PixelInput, applying, batch_size, drawn, index_of
from tune.evaluation.result import EvaluationResult, Extras
from tune.evaluation.scores import Predictions, score
from tune.runs.weights import TrainedRun

Classifier = Callable[[Tensor], Tensor]
"""From images (B, C, H, W) on the CPU, normalized or as pixels, to logits (B, classes), float32 on the CPU."""


def evaluate(
    run: TrainedRun, images: data.Resident, validation: data.Resident | None, title: str, extras: Extras
) -> EvaluationResult:
    """Accuracies, F1, calibration and confusion, with figures; pictures of predictions and mistakes on request."""
    from tune.evaluation import figures, tiles  # matplotlib, which prediction and export do not need

    classes, classify = run.info.classes, classifier_of(run)
    calibrating = None if validation is None else drawn(validation, max(1, MOST_LOGITS // len(classes)))
    temperature = None if calibrating is None else fit_temperature(logits(classify, calibrating, len(classes)))
    found = predict_by(classify, images, classes, temperature)
    scores = score(found, fitted_on=0 if calibrating is None else len(calibrating))
    if extras.averaging:
        scores["test_time_averaging"] = views.measure(classify, images, len(classes))
    title = f"{title}: accuracy {100 * scores['accuracy']:.2f} %"
    pictures = {
        "confusion": partial(figures.confusion, scores["confusion"], classes, title),
        "calibration": partial(figures.calibration, scores["calibration"], title),
    }
    wrong = not found.right.all()
    if wrong:
        pictures["confused_pairs"] = partial(tiles.confused, found, images, np.asarray(scores["confusion"]), title)
    if extras.predictions is not None:
        pictures["predictions"] = partial(tiles.predictions, found, images, extras.predictions, title)
    if extras.mistakes is not None and wrong:
        pictures["mistakes"] = partial(tiles.mistakes, found, images, extras.mistakes, title)
    return EvaluationResult(scores, predictions_table(found), pictures)


def classifier_of(run: TrainedRun) -> Classifier:
    """A run's model as a function of normalized images on the CPU."""
    return _applied(run, run.model)


def pixel_classifier_of(run: TrainedRun) -> Classifier:
    """A run's model as a function of pixels from 0 to 255 on the CPU."""
    device = next(run.model.parameters()).device
    return _applied(run, PixelInput(run.model, run.info.normalization).to(device).eval())


def _applied(run: TrainedRun, network: nn.Module) -> Classifier:
    def classify(images: Tensor) -> Tensor:
        with applying(run) as device:
            return network(images.to(device)).float().cpu()  # type: ignore[no-any-return]

    return classify


def predict_by(
    classify: Classifier, images: data.Resident, classes: tuple[str, ...], temperature: float | None = None
) -> Predictions:
    """What any classifier predicts for images on the CPU, and with which confidence at a temperature."""
    return Predictions.of(logits(classify, images, len(classes)), index_of(images), classes, temperature)


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
