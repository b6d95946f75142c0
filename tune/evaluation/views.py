"""A classifier's accuracy with its logits averaged over views of each image: mirrored, and shifted by a pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import data
from tune.errors import UserError
from tune.evaluation.inference import batch_size
from tune.evaluation.scores import accuracy_interval

VIEWS = tuple(
    {"mirrored": mirrored, "shift": shift, "weight": weight}
    for shift, weight in ((0, 0.25), (1, 0.125), (-1, 0.125))
    for mirrored in (False, True)
)
"""What is averaged: `shift` is by that many pixels down and right, with reflected borders; the weights add up to 1.

As in the multi-crop evaluation of Jordan 2024 (https://arxiv.org/abs/2404.00498, section 3.5).
"""


def averaged(classify: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The weighted mean (B, classes) of a classifier's logits over the views of images (B, C, H, W)."""
    height, width = images.shape[2:]
    wide = F.pad(images, (1, 1, 1, 1), mode="reflect")
    outputs = []
    for view in VIEWS:
        start = 1 - int(view["shift"])
        seen = wide[:, :, start : start + height, start : start + width]
        outputs.append(view["weight"] * classify(seen.flip(-1) if view["mirrored"] else seen))
    return torch.stack(outputs).sum(0)


def measure(classify: Callable[[Tensor], Tensor], images: data.Resident, classes: int) -> dict[str, Any]:
    """Accuracy and loss of the averaged logits.

    Args:
        classify: From normalized images (B, C, H, W) to logits (B, classes).
        images: On the CPU.
        classes: Their number.

    Returns:
        accuracy, accuracy_interval (95 %), loss, and views: what was averaged.

    Raises:
        UserError: The images are too small to reflect their borders.
    """
    if min(images.images.shape[2:]) < 2:
        raise UserError("--test-time-averaging is for images of at least 2 x 2 pixels")
    right, loss = 0, 0.0
    for batch, labels in images.batches(batch_size(images, classes)):
        logits = averaged(classify, batch).double()
        right += int((logits.argmax(1) == labels).sum())
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
    return {
        "accuracy": right / len(images),
        "accuracy_interval": accuracy_interval(right, len(images)),
        "loss": loss / len(images),
        "views": list(VIEWS),
    }
