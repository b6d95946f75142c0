"""Apply a run's model: in evaluation mode, with the threads and in the precision it was trained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

import data
from tune.runs.weights import TrainedRun
from tune.spec.data_spec import Normalization
from tune.training import autocast, cpu_threads

CHOICE_SEED = 0
BATCH_NUMBERS = 2**18  # numbers (pixels x channels) per batch: what a CPU's caches hold, and enough for a GPU


@contextmanager
def applying(run: TrainedRun) -> Iterator[torch.device]:
    """The context in which a run's model is applied; gives the model's device."""
    spec = run.experiment.training
    device = next(run.model.parameters()).device
    with torch.inference_mode(), cpu_threads(spec.threads_or(torch.get_num_threads())), autocast(spec, device):
        yield device


class PixelInput(nn.Module):
    """A network whose input are pixels: the normalization is its first layer.

    Args:
        network: Takes normalized images.
        normalization: Of its training.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in (normalization.mean, normalization.std))
        # The same arithmetic as `data.Resident`, which gives the same numbers.
        self.register_buffer("scale", (1 / (255 * std)).float().view(-1, 1, 1))
        self.register_buffer("shift", (-mean / std).float().view(-1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """The network's output for (B, C, H, W) from 0 to 255, in any data type."""
        output: Tensor = self.network(pixels.to(torch.float32) * self.scale + self.shift)
        return output


def pixels_of(images: data.Resident) -> data.Resident:
    """The same images, with pixels from 0 to 255 in their batches instead of normalized values."""
    channels = images.images.shape[1]
    unchanged = data.Normalization((0.0,) * channels, (1 / 255,) * channels)
    return data.Resident(images.images, images.labels, images.index, normalization=unchanged)


def drawn(images: data.Resident, most: int) -> data.Resident:
    """A random choice of images, the same each time; all of them where there are no more than `most`."""
    if len(images) <= most:
        return images
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(CHOICE_SEED))[:most]
    return data.Resident(images.images, images.labels, index_of(images)[chosen], normalization=images.normalization)


def batch_size(images: data.Resident, outputs: int = 1) -> int:
    """How many of these images to give the model at once, given the outputs per image."""
    return max(1, BATCH_NUMBERS // max(images.images[0].numel(), outputs))


def index_of(images: data.Resident) -> torch.Tensor:
    """Each image's position in its part of the data set, (N,) int64."""
    return images.index if images.index is not None else torch.arange(len(images))
