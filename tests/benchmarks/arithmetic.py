"""What the arithmetic of a model's layers takes at the speed of this core's matrix products: a floor for its epochs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch

import models

SIDE = 1024  # of the matrices: their products run at the core's full speed


def precisions_here() -> tuple[str, ...]:
    """float32, and bfloat16 where this CPU multiplies it faster."""
    faster = multiplications_per_second("bfloat16") > multiplications_per_second("float32")
    return ("float32", "bfloat16") if faster else ("float32",)


@cache
def multiplications_per_second(precision: str) -> float:
    """Of one core, each with its addition: the best of 20 products of two large matrices."""
    matrix = torch.rand(SIDE, SIDE, dtype=getattr(torch, precision))
    before, best = torch.get_num_threads(), float("inf")
    torch.set_num_threads(1)
    for _ in range(20):
        began = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - began)
    torch.set_num_threads(before)
    return SIDE**3 / best


def seconds_of_arithmetic(
    model: str,
    shape: Sequence[int],
    train_images: int,
    val_images: int,
    precision: str = "float32",
    options: Mapping[str, Any] | None = None,
) -> float:
    """Seconds of an epoch on one core if it did nothing but multiply and add.

    A training step multiplies three times: forward, for the gradients of the activations, and for those of the weights.
    """
    cost = models.cost_of(model, shape, 10, **(options or {}))
    return cost.mult_adds * (3 * train_images + val_images) / multiplications_per_second(precision)
