"""Measure the latency of a classifier."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tune.evaluation.classification import Classifier

_WARM_UP = 5
_LEAST_CALLS = 30


@dataclass(frozen=True)
class Latency:
    """Milliseconds per call.

    Attributes:
        quartiles: First quartile, median and third quartile over all calls.
        calls: Their number.
    """

    quartiles: tuple[float, float, float]
    calls: int


def measure_latency(classify: Classifier, images: Tensor, *, seconds: float = 2.0) -> Latency:
    """Time calls one after another, after a few calls to warm up.

    Args:
        classify: The classifier, which uses the CPU threads that torch is set to.
        images: (B, C, H, W), normalized: the input of each call.
        seconds: Measure for at least this long, and at least 30 calls.
    """
    for _ in range(_WARM_UP):
        classify(images)
    times: list[float] = []
    while len(times) < _LEAST_CALLS or sum(times) < seconds:
        started = time.perf_counter()
        classify(images)
        _wait()
        times.append(time.perf_counter() - started)
    return Latency(quartiles([1000 * each for each in times]), len(times))


def _wait() -> None:
    """Wait for a GPU, which may still be computing when a call returns."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile of one or more values."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return low, median, high
