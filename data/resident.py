"""A whole part of a dataset on one device, and batches of it made there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from data.augmentation import Augment
from data.errors import DataError
from data.normalize import Normalization

Augmenter = Callable[[Tensor, Generator], Tensor]

_CHUNK_IMAGES = 4096


class Resident:
    """Images as uint8 and labels on a device, with the positions that belong to this part.

    On the CPU nothing is copied: the tensors stay the memory maps they came as, shared by every process of the node,
    and ``index`` alone says which images are this part's. ``to`` copies the part to a GPU, once.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        index: Tensor | None = None,
        *,
        normalization: Normalization | None = None,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
        classes: int | None = None,
    ) -> None:
        """Bind images to the way they are served.

        Args:
            images: (N, C, H, W) uint8.
            labels: (N,) int64, on the same device.
            index: Positions that belong to this part, (n,) int64; None for all of them.
            normalization: Per-channel mean and standard deviation; None scales to 0..1 only.
            dtype: Of the batches: float32, bfloat16 or float16. The arithmetic is done in float32.
            channels_last: Whether batches are laid out as (B, H, W, C) in memory. Their shape stays (B, C, H, W).
            classes: How many there are; only augmentations that mix labels need to know.
        """
        channels = images.shape[1]
        self.normalization = normalization or Normalization((0.0,) * channels, (1.0,) * channels)
        if not len(self.normalization.mean) == len(self.normalization.std) == channels:
            raise DataError(f"the images have {channels} channels, the normalization is {self.normalization}")
        self.images, self.labels, self.index = images, labels, index
        self.dtype, self.channels_last, self.classes = dtype, channels_last, classes
        mean, std = (
            torch.tensor(values, dtype=torch.float64) for values in (self.normalization.mean, self.normalization.std)
        )
        self._scale = (1 / (255 * std)).float().view(-1, 1, 1).to(images.device)
        self._shift = (-mean / std).float().view(-1, 1, 1).to(images.device)

    def __len__(self) -> int:
        """Images of this part."""
        return len(self.labels) if self.index is None else len(self.index)

    @property
    def device(self) -> torch.device:
        """Where the images are and the batches will be."""
        return self.images.device

    @property
    def resident_bytes(self) -> int:
        """Bytes of the images and labels this part keeps on its device, or maps there together with others."""
        return self.images.nbytes + self.labels.nbytes

    def to(self, device: torch.device | str) -> Resident:
        """The same part on another device; to another device only its own images travel."""
        if torch.device(device) == self.device:
            return self
        images, labels = self.images, self.labels
        if self.index is not None:
            images, labels = images.index_select(0, self.index), labels.index_select(0, self.index)
        return Resident(
            images.to(device),
            labels.to(device),
            normalization=self.normalization,
            dtype=self.dtype,
            channels_last=self.channels_last,
            classes=self.classes,
        )

    def stored_as(self, dtype: torch.dtype) -> Resident:
        """The same part with its images normalized once, and kept in memory as floating point numbers.

        Batches are then only copied out, at 2 or 4 bytes a number where uint8 has 1 and is shared by all processes.
        float32 gives bitwise the same batches; float16 rounds them to 11 bits. There is nothing to augment any more:
        augmentations work on uint8.

        Args:
            dtype: float16, bfloat16 or float32; uint8 is this part itself.

        Raises:
            DataError: The type is another one.
        """
        if dtype == torch.uint8:
            return self
        if dtype not in (torch.float16, torch.bfloat16, torch.float32):
            raise DataError(f"images are kept as {dtype}; legal: uint8, float16, bfloat16, float32")
        index = torch.arange(len(self), device=self.device) if self.index is None else self.index
        stored = torch.empty(len(self), *self.images.shape[1:], dtype=dtype, device=self.device)
        for start in range(0, len(self), _CHUNK_IMAGES):
            here = slice(start, start + _CHUNK_IMAGES)
            stored[here] = self._normalized(self.images.index_select(0, index[here]))
        channels = self.images.shape[1]
        return Resident(
            stored,
            self.labels.index_select(0, index),
            torch.arange(len(self), device=self.device),  # batches are copies: what is done to them stays with them
            normalization=Normalization((0.0,) * channels, (1 / 255,) * channels),  # times 1, plus 0
            dtype=self.dtype,
            channels_last=self.channels_last,
            classes=self.classes,
        )

    def count_batches(self, batch_size: int, *, drop_last: bool = False) -> int:
        """How many batches one pass gives."""
        return len(self) // batch_size if drop_last else math.ceil(len(self) / batch_size)

    def batches(
        self,
        batch_size: int,
        *,
        generator: Generator | None = None,
        augment: Augmenter | None = None,
        drop_last: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the part; its order is drawn when the first batch is asked for.

        Args:
            batch_size: Images per batch; the last batch may be smaller.
            generator: Shuffles, and feeds ``augment``; None keeps the order. A CPU generator gives the same batches
                on every device.
            augment: Function of uint8 images (B, C, H, W) and the generator. An `Augment` that mixes does so too, on
                the normalized images.
            drop_last: Leave out a last batch that is smaller.

        Yields:
            Normalized images (B, C, H, W) and labels (B,), on the device. Mixed labels are (B, classes) float32, the
            share of each class.

        Raises:
            DataError: The batch size is below 1, or ``augment`` comes without a generator, or without the number of
                classes where it mixes labels, or for images that are not kept as uint8.
        """
        if batch_size < 1:
            raise DataError(f"the batch size is {batch_size}: it must be at least 1")
        if augment is not None and generator is None:
            raise DataError("augmentation draws at random: it needs a generator")
        if augment is not None and self.images.dtype != torch.uint8:
            raise DataError(f"augmentation works on uint8 images, these are kept as {self.images.dtype}")
        if isinstance(augment, Augment) and augment.mixes and self.classes is None:
            raise DataError("augmentation mixes labels: the images must be bound with their number of classes")
        drawn = self._drawn(batch_size, generator, drop_last)
        if augment is None or generator is None:
            return ((self._laid_out(self._normalized(images)), labels) for images, labels in drawn)
        return (self._augmented(images, labels, generator, augment) for images, labels in drawn)

    def _drawn(self, batch_size: int, generator: Generator | None, drop_last: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches as they lie in memory: uint8 images and labels, in the order drawn."""
        order = self._order(generator)
        for batch in range(self.count_batches(batch_size, drop_last=drop_last)):
            here = slice(batch * batch_size, (batch + 1) * batch_size)
            if order is None:
                yield self.images[here], self.labels[here]
            else:
                yield self.images.index_select(0, order[here]), self.labels.index_select(0, order[here])

    def _augmented(
        self, images: Tensor, labels: Tensor, generator: Generator, augment: Augmenter
    ) -> tuple[Tensor, Tensor]:
        normalized = self._normalized(augment(images, generator))
        if isinstance(augment, Augment) and augment.mixes and self.classes is not None:
            normalized, labels = augment.mix(normalized, F.one_hot(labels, self.classes).float(), generator)
        return self._laid_out(normalized), labels

    def _order(self, generator: Generator | None) -> Tensor | None:
        """Positions in the order to serve them, on the device; None for all images as they lie."""
        if generator is None:
            return self.index
        shuffled = torch.randperm(len(self), generator=generator, device=generator.device).to(self.device)
        return shuffled if self.index is None else self.index.index_select(0, shuffled)

    def _normalized(self, images: Tensor) -> Tensor:
        # In place on the fresh float copy: a quarter of the time of addcmul, and of arithmetic in bfloat16.
        return images.to(torch.float32).mul_(self._scale).add_(self._shift)

    def _laid_out(self, batch: Tensor) -> Tensor:
        # The layout comes last: arithmetic per channel is three times slower where channels are innermost.
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return batch.to(self.dtype, memory_format=layout)
