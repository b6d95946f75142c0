"""How images lie in memory while a model works on them: a matter of speed alone."""

from __future__ import annotations

import torch
from torch import nn

from models.blocks import FractionalPool


def memory_format(model: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels last for convolutional networks on the CPU, but for those with fractional pooling.

    Measured, milliseconds per step on one core in float32 and bfloat16 (tests/benchmarks/NOTES.md): simple_cnn goes
    from 102 and 67 to 70 and 35 with channels last, the classifier with maximum pooling from 359 and 313 to 233 and
    205. With fractional pooling, whose gradient comes back channels first, it goes from 341 and 274 up to 808 and 767:
    Mish's backward crawls over two layouts at once. Nothing was measured on GPUs: there the layout stays the default.
    """
    kinds = {type(module) for module in model.modules()}
    helps = device.type == "cpu" and nn.Conv2d in kinds and FractionalPool not in kinds
    return torch.channels_last if helps else torch.contiguous_format
