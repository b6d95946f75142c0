"""Figures of merit of a classifier, from its logits on a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Predictions:
    """What a model says of every image of a split, on the CPU.

    Attributes:
        logits: (N, classes) float32.
        labels: (N,) int64.
        index: (N,) int64, each image's position in its part of the data set (train or test).
        classes: Names in the order of the labels.
    """

    logits: Tensor
    labels: Tensor
    index: Tensor
    classes: tuple[str, ...]

    @property
    def predicted(self) -> Tensor:
        """(N,) the most probable class."""
        return self.logits.argmax(1)

    @property
    def probabilities(self) -> Tensor:
        """(N, classes), in float64: a float32 softmax says 1 of all that is nearly certain."""
        return self.logits.double().softmax(1)


def score(predictions: Predictions) -> dict[str, Any]:
    """Accuracies (fractions), F1, loss, calibration and confusion, under the names of `evaluation.json`.

    An undefined precision, recall or F1 is 0. The macro F1 is the mean over the classes that occur among labels or
    predictions, as scikit-learn's and torchmetrics'.

    Returns:
        n, loss (mean cross entropy), accuracy, macro_f1, top5_accuracy (of fewer classes: 1),
        expected_calibration_error, per_class (name, n, accuracy, precision, recall, f1), confusion (rows are truth).
    """
    labels, predicted = predictions.labels.numpy(), predictions.predicted.numpy()
    every = np.arange(len(predictions.classes))
    precision, recall, f1, n = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0.0)
    occurs = np.union1d(labels, predicted)
    return {
        "n": len(labels),
        "loss": F.cross_entropy(predictions.logits.double(), predictions.labels).item(),
        "accuracy": float((labels == predicted).mean()),
        "macro_f1": float(f1[occurs].mean()),
        "top5_accuracy": top_accuracy(predictions, 5),
        "expected_calibration_error": calibration_error(predictions),
        # Of the images of one class, accuracy and recall are the same share; both names are looked for.
        "per_class": _rows(predictions.classes, n, recall, precision, recall, f1),
        "confusion": confusion_matrix(labels, predicted, labels=every).tolist(),
    }


def _rows(classes: Sequence[str], n: NDArray[np.int64], *measures: NDArray[np.float64]) -> list[dict[str, Any]]:
    names = ("name", "n", "accuracy", "precision", "recall", "f1")
    columns = (classes, n.tolist(), *(measure.tolist() for measure in measures))
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def top_accuracy(predictions: Predictions, k: int) -> float:
    """The share of images whose class is among the k most probable ones."""
    best = predictions.logits.topk(min(k, len(predictions.classes)), dim=1).indices
    return (best == predictions.labels[:, None]).any(1).double().mean().item()


def calibration_error(predictions: Predictions, bins: int = CALIBRATION_BINS) -> float:
    """The expected calibration error: Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.

    The bins are ((b - 1) / bins, b / bins]. torchmetrics puts what is exactly certain into a bin of its own, which
    changes the result of a confident model.
    """
    confidence, predicted = predictions.probabilities.max(1)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    bin_of = torch.bucketize(confidence, edges[1:-1])
    gap = (predicted == predictions.labels).double() - confidence
    return torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, gap).abs().sum().item() / len(gap)
