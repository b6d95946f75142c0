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
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor

CALIBRATION_BINS = 15


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
        index: (N,) int64, each image's position in its part of the data set (train or test).
        classes: Names in the order of the labels.
    """

    labels: Tensor
    predicted: Tensor
    probability: Tensor
    label_probability: Tensor
    loss: Tensor
    in_top5: Tensor
    index: Tensor
    classes: tuple[str, ...]

    @classmethod
    def of(cls, batches: Iterable[tuple[Tensor, Tensor]], index: Tensor, classes: tuple[str, ...]) -> Predictions:
        """From batches of logits (B, classes) and labels (B,) of all images of `index`."""
        # Allocated first: small results between the large tensors of each batch would fragment the memory.
        whole, real = (torch.empty(len(index), dtype=dtype) for dtype in (torch.int64, torch.float64))
        columns = (whole, whole.clone(), real, real.clone(), real.clone(), torch.empty(len(index), dtype=torch.bool))
        done = 0
        for logits, labels in batches:
            for column, values in zip(columns, _predictions(logits, labels), strict=True):
                column[done : done + len(labels)] = values
            done += len(labels)
        return cls(*columns, index, classes)


def _predictions(logits: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """A batch's values of the first six attributes of `Predictions`."""
    logits = logits.double()  # a float32 softmax gives 1 for everything that is nearly certain
    probabilities = logits.softmax(1)
    probability, predicted = probabilities.max(1)
    label_probability = probabilities.gather(1, labels[:, None])[:, 0]
    loss = F.cross_entropy(logits, labels, reduction="none")
    top5 = logits.topk(min(5, logits.shape[1]), dim=1).indices
    return labels, predicted, probability, label_probability, loss, (top5 == labels[:, None]).any(1)


def score(predictions: Predictions) -> dict[str, Any]:
    """Accuracies (fractions), F1, loss, calibration and confusion, under the names of `evaluation.json`.

    A class without images has no accuracy, recall and F1 (None), and the macro F1 leaves it out. An undefined precision
    is 0.

    Returns:
        n, loss (mean cross entropy), accuracy, macro_f1, top5_accuracy (1 with five classes or fewer),
        expected_calibration_error, per_class (name, n, accuracy, precision, recall, f1), confusion (rows are truth).
    """
    labels, predicted = predictions.labels.numpy(), predictions.predicted.numpy()
    every = np.arange(len(predictions.classes))
    precision, recall, f1, n = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0.0)
    recall, f1 = np.where(n > 0, recall, np.nan), np.where(n > 0, f1, np.nan)
    return {
        "n": len(labels),
        "loss": predictions.loss.mean().item(),
        "accuracy": float((labels == predicted).mean()),
        "macro_f1": float(np.nanmean(f1)),
        "top5_accuracy": predictions.in_top5.double().mean().item(),
        "expected_calibration_error": calibration_error(predictions),
        # Accuracy over the images of one class is its recall; readers look for both names.
        "per_class": _rows(predictions.classes, n, recall, precision, recall, f1),
        "confusion": confusion_matrix(labels, predicted, labels=every).tolist(),
    }


def _rows(classes: Sequence[str], n: NDArray[np.int64], *measures: NDArray[np.float64]) -> list[dict[str, Any]]:
    names = ("name", "n", "accuracy", "precision", "recall", "f1")
    columns = (pd.Series(measure, dtype=object).where(~np.isnan(measure), None) for measure in measures)
    return [dict(zip(names, row, strict=True)) for row in zip(classes, n.tolist(), *columns, strict=True)]


def calibration_error(predictions: Predictions, bins: int = CALIBRATION_BINS) -> float:
    """The expected calibration error: Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.

    The bins are ((b - 1) / bins, b / bins]. torchmetrics puts predictions of probability 1 into a bin of their own,
    which changes the result of a confident model.
    """
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    bin_of = torch.bucketize(predictions.probability, edges[1:-1])
    gap = (predictions.predicted == predictions.labels).double() - predictions.probability
    return torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, gap).abs().sum().item() / len(gap)
