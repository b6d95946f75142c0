"""The training images of each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from tune.spec.experiment import Experiment
from tune.training.process import stream_seed
from tune.training.splits import Splits, augment_of, steps_per_epoch


class Batches:
    """The training images in each epoch's order, augmented.

    Attributes:
        steps: Batches per epoch.
    """

    def __init__(self, experiment: Experiment, splits: Splits) -> None:
        self._experiment, self._splits = experiment, splits
        self._augment = augment_of(experiment.data)
        self.steps = steps_per_epoch(len(splits.train), experiment.training.batch_size)

    def _size(self, epoch: int) -> tuple[int, ...]:
        """The height and width of an epoch's images, in pixels."""
        own, spec = self._splits.input_shape[1:], self._experiment.training
        return own if spec.progressive_size is None else spec.progressive_size.size(own, epoch, spec.epochs)

    def of(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalized images (B, C, H, W) of the epoch's size, and labels (B,), both on the device."""
        size = self._size(epoch)
        return ((resized(images, size), labels) for images, labels in self.whole(epoch))

    def whole(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The same with images of their own size."""
        generator = torch.Generator()  # on the CPU: the same batches on every device
        seed, augment = self._experiment.seed, self._augment
        generator.manual_seed(stream_seed(seed, "batches", epoch))
        if augment is not None:
            augment = replace(augment, epoch=epoch, seed=stream_seed(seed, "flips"))
        batch_size = self._experiment.training.batch_size
        batches = self._splits.train.batches(batch_size, generator=generator, augment=augment)
        return islice(batches, self.steps)


def resized(images: Tensor, size: Sequence[int]) -> Tensor:
    """Images (B, C, H, W) with the height and width `size`, smoothed as torchvision's Resize does."""
    if images.shape[2:] == tuple(size):
        return images
    return F.interpolate(images, size=list(size), mode="bilinear", antialias=True)
