"""Copies to a GPU that the CPU does not wait for."""

from __future__ import annotations

import torch
from torch import Tensor


def placed(values: Tensor, device: torch.device) -> Tensor:
    """The values on a device.

    A plain copy from the CPU to a GPU waits until the GPU has done all its work so far, and the GPU is idle while the
    CPU prepares the next batch. A copy out of pinned memory does not wait.
    """
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
