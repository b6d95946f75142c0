"""The network of an experiment: its first weights, and how images lie in memory while it works on them."""

from __future__ import annotations

import torch
from torch import nn

import models
from models.blocks import FractionalPool
from tune.spec.experiment import Experiment
from tune.training.seeding import seeded, stream_seed
from tune.training.splits import Splits


def initial_model(experiment: Experiment, splits: Splits) -> nn.Module:
    """The untrained model. Made on the CPU, so that a seed means the same weights on every device.

    Raises:
        models.ModelError: The model is impossible on these images.
    """
    spec = experiment.model
    with seeded(stream_seed(experiment.seed, "model"), torch.device("cpu")):
        return models.build(spec.name, splits.input_shape, len(splits.classes), **spec.options())


def memory_format(model: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels last for convolutional networks on the CPU, but for those with fractional pooling: a matter of speed.

    Measured, milliseconds per step on one core in float32 and bfloat16 (tests/benchmarks/NOTES.md): simple_cnn goes
    from 102 and 67 to 70 and 35 with channels last, the classifier with maximum pooling from 359 and 313 to 233 and
    205. With fractional pooling, whose gradient comes back channels first, it goes from 341 and 274 up to 808 and 767:
    Mish's backward crawls over two layouts at once. Nothing was measured on GPUs: there the layout stays the default.
    """
    kinds = {type(module) for module in model.modules()}
    helps = device.type == "cpu" and nn.Conv2d in kinds and FractionalPool not in kinds
    return torch.channels_last if helps else torch.contiguous_format
