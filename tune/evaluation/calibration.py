"""Calibration of a classifier: how far its confidence is from its accuracy, and the temperature that corrects it.

Guo et al. 2017, https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

BINS = 15
MOST_LOGITS = 2**23  # numbers that a temperature is fitted on: 67 MB; of more images, a random choice
_LIMITS = (0.05, 20.0)  # of a temperature; what would lie beyond them is not a temperature but a fault


def reliability(probability: Tensor, right: Tensor, bins: int = BINS) -> list[dict[str, Any]]:
    """Confidence against accuracy, for images in bins ((b - 1) / bins, b / bins] of the confidence.

    torchmetrics puts probabilities of 1 into a bin of their own, which changes the result of a confident model.

    Args:
        probability: (N,) float64, of each image's prediction.
        right: (N,) bool, whether it is right.
        bins: How many.

    Returns:
        A row per bin: low, high, n, and the means confidence and accuracy; None where there are no images.
    """
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    bin_of = torch.bucketize(probability, edges[1:-1])
    n = torch.bincount(bin_of, minlength=bins)
    sums = torch.zeros(2, bins, dtype=torch.float64)
    sums.index_add_(1, bin_of, torch.stack([probability, right.double()]))
    means = [[value if count else None for value, count in zip(row, n, strict=True)] for row in (sums / n).tolist()]
    columns = (edges[:-1].tolist(), edges[1:].tolist(), n.tolist(), *means)
    return [
        dict(zip(("low", "high", "n", "confidence", "accuracy"), row, strict=True))
        for row in zip(*columns, strict=True)
    ]


def calibration_error(bins: Iterable[dict[str, Any]]) -> float:
    """The expected calibration error of the bins of `reliability`: equation 3 of the paper."""
    filled = [row for row in bins if row["n"]]
    gaps = math.fsum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in filled)
    n: int = sum(row["n"] for row in filled)
    return gaps / n


def fit_temperature(batches: Iterable[tuple[Tensor, Tensor]]) -> float | None:
    """The temperature T for which softmax(logits / T) has the lowest cross entropy (the paper's section 4.2).

    Args:
        batches: Logits (B, classes) and labels (B,), of images that were not trained on.

    Returns:
        None where no finite temperature is best, as when all predictions are right.
    """
    pairs = list(batches)
    logits, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    logits = logits.double()
    if logits.shape[1] == 1 or bool((logits.argmax(1) == labels).all()):
        return None

    def loss(exponent: float) -> float:
        return float(F.cross_entropy(logits / math.exp(exponent), labels))

    low, high = map(math.log, _LIMITS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-7})
    inside = math.isfinite(found.fun) and low + 1e-3 < found.x < high - 1e-3
    return math.exp(found.x) if inside else None
