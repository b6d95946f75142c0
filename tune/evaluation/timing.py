"""How long a model takes for a batch of images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_WARM_UP = 5
_LEAST_CALLS = 30


@dataclass(frozen=True)
class Latency:
    """Milliseconds of each call."""

    milliseconds: tuple[float, ...]

    @property
    def calls(self) -> int:
        """Their number."""
        return len(self.milliseconds)

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """First quartile, median and third quartile."""
        return quartiles(self.milliseconds)

    @property
    def p95(self) -> float:
        """What 95 % of the calls do not exceed."""
        return float(np.quantile(self.milliseconds, 0.95))


def measure_latency(apply: Callable[[Tensor], object], images: Tensor, *, seconds: float = 2.0) -> Latency:
    """Time calls one after another, after a few calls to warm up.

    Args:
        apply: The model, which uses the CPU threads that torch is set to.
        images: (B, C, H, W): the input of each call.
        seconds: Measure for at least this long, and at least 30 calls.
    """
    for _ in range(_WARM_UP):
        apply(images)
    times: list[float] = []
    while len(times) < _LEAST_CALLS or sum(times) < seconds:
        started = time.perf_counter()
        apply(images)
        _wait()
        times.append(time.perf_counter() - started)
    return Latency(tuple(1000 * each for each in times))


def _wait() -> None:
    """Wait for a GPU, which may still be computing when a call returns."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile of one or more values."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return low, median, high
