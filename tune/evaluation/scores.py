"""Scores of a classifier on a split, from what it predicts for each image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor

from tune.evaluation.calibration import calibration_error, reliability

MOST_PAIRS = 30  # confusions that are listed
NO_TOP5 = 5  # classes up to which every image is among the five most probable ones


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for every image of a split, on the CPU.

    Logits are not kept: 50,000 images of 5,000 classes would take a gigabyte.

    Attributes:
        labels: (N,) int64.
        predicted: (N,) int64, the most probable class.
        probability: (N,) float64, of the predicted class.
        label_probability: (N,) float64, of the true class.
        loss: (N,) float64, cross entropy.
        in_top5: (N,) bool, whether the true class is among the five most probable ones.
        calibrated_probability: (N,) float64, of the predicted class at the temperature.
        calibrated_loss: (N,) float64, at the temperature.
        index: (N,) int64, each image's position in its part of the data set (train or test).
        classes: Names in the order of the labels.
        temperature: What the logits are divided by to calibrate them; None if they are not, and then the calibrated
            values are the others.
    """

    labels: Tensor
    predicted: Tensor
    probability: Tensor
    label_probability: Tensor
    loss: Tensor
    in_top5: Tensor
    calibrated_probability: Tensor
    calibrated_loss: Tensor
    index: Tensor
    classes: tuple[str, ...]
    temperature: float | None

    @property
    def right(self) -> Tensor:
        """Whether each prediction is right, (N,) bool."""
        return self.predicted == self.labels

    @classmethod
    def of(
        cls,
        batches: Iterable[tuple[Tensor, Tensor]],
        index: Tensor,
        classes: tuple[str, ...],
        temperature: float | None = None,
    ) -> Predictions:
        """From batches of logits (B, classes) and labels (B,) of all images of `index`."""
        # Allocated first: small results between the large tensors of each batch would fragment the memory.
        columns = {name: torch.empty(len(index), dtype=dtype) for name, dtype in _COLUMNS.items()}
        done = 0
        for logits, labels in batches:
            for name, values in _predictions(logits, labels, temperature or 1.0).items():
                columns[name][done : done + len(labels)] = values
            done += len(labels)
        return cls(**columns, index=index, classes=classes, temperature=temperature)


_COLUMNS = {
    **dict.fromkeys(("labels", "predicted"), torch.int64),
    **dict.fromkeys(("probability", "label_probability", "loss"), torch.float64),
    **dict.fromkeys(("calibrated_probability", "calibrated_loss"), torch.float64),
    "in_top5": torch.bool,
}


def _predictions(logits: Tensor, labels: Tensor, temperature: float) -> dict[str, Tensor]:
    """A batch's values of the attributes of `Predictions`."""
    logits = logits.double()  # a float32 softmax gives 1 for everything that is nearly certain
    cooled, probabilities = logits / temperature, logits.softmax(1)
    probability, predicted = probabilities.max(1)
    top5 = logits.topk(min(5, logits.shape[1]), dim=1).indices
    return {
        "labels": labels,
        "predicted": predicted,
        "probability": probability,
        "label_probability": probabilities.gather(1, labels[:, None])[:, 0],
        "loss": F.cross_entropy(logits, labels, reduction="none"),
        "calibrated_probability": cooled.softmax(1).amax(1),
        "calibrated_loss": F.cross_entropy(cooled, labels, reduction="none"),
        "in_top5": (top5 == labels[:, None]).any(1),
    }


def score(predictions: Predictions, fitted_on: int = 0) -> dict[str, Any]:
    """Everything of `evaluation.json` from `n` on; accuracies are fractions.

    A class without images has no accuracy, recall and F1 (None), and the averages leave it out. An undefined precision
    is 0. `top5_accuracy` is None where there are at most five classes.

    Args:
        predictions: Of all images of the split.
        fitted_on: The number of images that their temperature was fitted on.

    Returns:
        n, loss (mean cross entropy), accuracy, accuracy_interval, macro_ and weighted_ precision, recall and f1,
        top5_accuracy, expected_calibration_error, calibration (before and after the temperature), per_class (name, n,
        accuracy, precision, recall, f1), most_confused (truth, predicted, n, share of the true class), confusion (rows
        are truth).
    """
    labels, predicted = predictions.labels.numpy(), predictions.predicted.numpy()
    every = np.arange(len(predictions.classes))
    precision, recall, f1, n = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0.0)
    counts, right = confusion_matrix(labels, predicted, labels=every), predictions.right
    calibration = _calibration(predictions, fitted_on)
    means = {
        f"{name}_{measure}": float(np.average(values, weights=weights))
        for name, weights in (("macro", n > 0), ("weighted", n))
        for measure, values in (("precision", precision), ("recall", recall), ("f1", f1))
    }
    top5 = predictions.in_top5.double().mean().item() if len(every) > NO_TOP5 else None
    recall, f1 = np.where(n > 0, recall, np.nan), np.where(n > 0, f1, np.nan)
    return {
        "n": len(labels),
        "loss": predictions.loss.mean().item(),
        "accuracy": right.double().mean().item(),
        "accuracy_interval": accuracy_interval(int(right.sum()), len(labels)),
        **means,
        "top5_accuracy": top5,
        "expected_calibration_error": calibration["before"]["expected_calibration_error"],
        "calibration": calibration,
        # Accuracy over the images of one class is its recall; readers look for both names.
        "per_class": _rows(predictions.classes, n, recall, precision, recall, f1),
        "most_confused": [
            {
                "truth": predictions.classes[truth],
                "predicted": predictions.classes[other],
                "n": int(counts[truth, other]),
                "share": float(counts[truth, other] / n[truth]),
            }
            for truth, other in confused_pairs(counts)[:MOST_PAIRS]
        ],
        "confusion": counts.tolist(),
    }


def accuracy_interval(right: int, n: int) -> list[float]:
    """The 95 % Wilson interval of an accuracy: the shares of right images that are compatible with `right` of `n`."""
    interval = binomtest(right, n).proportion_ci(0.95, "wilson")
    return [float(interval.low), float(interval.high)]


def confused_pairs(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The label pairs (truth, prediction) that were confused, the most frequent first, then in their order."""
    rows, columns = np.nonzero(counts)
    errors = rows != columns
    rows, columns = rows[errors], columns[errors]
    order = np.argsort(-counts[rows, columns], kind="stable")
    return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def _calibration(predictions: Predictions, fitted_on: int) -> dict[str, Any]:
    def figures(probability: Tensor, loss: Tensor) -> dict[str, Any]:
        bins = reliability(probability, predictions.right)
        return {"loss": loss.mean().item(), "expected_calibration_error": calibration_error(bins), "bins": bins}

    fitted = predictions.temperature is not None
    after = figures(predictions.calibrated_probability, predictions.calibrated_loss) if fitted else None
    return {
        "temperature": predictions.temperature,
        "fitted_on": fitted_on if fitted else 0,
        "before": figures(predictions.probability, predictions.loss),
        "after": after,
    }


def _rows(classes: Sequence[str], n: NDArray[np.int64], *measures: NDArray[np.float64]) -> list[dict[str, Any]]:
    names = ("name", "n", "accuracy", "precision", "recall", "f1")
    columns = (pd.Series(measure, dtype=object).where(~np.isnan(measure), None) for measure in measures)
    return [dict(zip(names, row, strict=True)) for row in zip(classes, n.tolist(), *columns, strict=True)]
