"""One part of a data set on a device, and batches of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from data.augmentation import Augment
from data.errors import DataError
from data.normalize import Normalization
from data.placing import placed

Augmenter = Callable[[Tensor, Generator], Tensor]

_CHUNK_BYTES = 1 << 26


class Resident:
    """Images (uint8) and labels on a device, and the positions of those that belong to this part.

    On the CPU nothing is copied: the tensors stay memory maps shared by all processes of a node, and ``index`` selects
    the images of this part. ``to`` copies only those to a GPU.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        index: Tensor | None = None,
        *,
        normalization: Normalization | None = None,
        classes: int | None = None,
    ) -> None:
        """Keep the tensors as they are; nothing is copied.

        Args:
            images: (N, C, H, W) uint8.
            labels: (N,) int64, on the same device.
            index: Positions that belong to this part, (n,) int64; None for all of them.
            normalization: Per-channel mean and standard deviation; None only scales to 0..1.
            classes: Number of classes; required only by augmentations that mix labels.

        Raises:
            DataError: The normalization has another number of channels than the images.
        """
        channels = images.shape[1]
        self.normalization = normalization or Normalization((0.0,) * channels, (1.0,) * channels)
        if not len(self.normalization.mean) == len(self.normalization.std) == channels:
            raise DataError(
                f"the normalization must have {channels} channels, as the images do (got {self.normalization})"
            )
        self.images, self.labels, self.index, self.classes = images, labels, index, classes
        mean, std = (
            torch.tensor(values, dtype=torch.float64) for values in (self.normalization.mean, self.normalization.std)
        )
        self._scale = (1 / (255 * std)).float().view(-1, 1, 1).to(images.device)
        self._shift = (-mean / std).float().view(-1, 1, 1).to(images.device)

    def __len__(self) -> int:
        """The number of images in this part."""
        return len(self.labels) if self.index is None else len(self.index)

    @property
    def device(self) -> torch.device:
        """Where the images are and batches are made."""
        return self.images.device

    @property
    def resident_bytes(self) -> int:
        """Bytes of the images and labels on the device, including those that other parts share."""
        return self.images.nbytes + self.labels.nbytes

    def to(self, device: torch.device | str) -> Resident:
        """This part on another device: its own images are copied in chunks, so that the host needs little memory."""
        if torch.device(device) == self.device:
            return self
        images = torch.empty(len(self), *self.images.shape[1:], dtype=self.images.dtype, device=device)
        for here in self._chunks():
            images[here] = self._selected(self.images, here)
        labels = self._selected(self.labels, slice(None)).to(device)
        return Resident(images, labels, normalization=self.normalization, classes=self.classes)

    def stored_as(self, dtype: torch.dtype) -> Resident:
        """This part with its images normalized once and kept as floating-point numbers.

        Batches are then only copied, at 2 or 4 bytes per number instead of 1, and memory is not shared with other
        processes. float32 gives bitwise the same batches. Such images cannot be augmented.

        Args:
            dtype: float16, bfloat16 or float32; uint8 returns this part itself.

        Raises:
            DataError: The type is another one.
        """
        if dtype == torch.uint8:
            return self
        if dtype not in (torch.float16, torch.bfloat16, torch.float32):
            raise DataError(f"images must be kept as uint8, float16, bfloat16 or float32 (got {dtype})")
        images = torch.empty(len(self), *self.images.shape[1:], dtype=dtype, device=self.device)
        for here in self._chunks():
            images[here] = self._normalized(self._selected(self.images, here))
        channels = images.shape[1]
        return Resident(
            images,
            self._selected(self.labels, slice(None)),
            torch.arange(len(self), device=self.device),  # makes batches copies: changing one leaves the images alone
            normalization=Normalization((0.0,) * channels, (1 / 255,) * channels),  # times 1, plus 0
            classes=self.classes,
        )

    def batches(
        self, batch_size: int, *, generator: Generator | None = None, augment: Augmenter | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the part. The order is drawn when the first batch is requested.

        Args:
            batch_size: Images per batch; the last batch may be smaller.
            generator: Shuffles, and is passed to ``augment``; None keeps the order. A CPU generator gives the same
                batches on every device.
            augment: A function of uint8 images (B, C, H, W) and the generator. An `Augment` is also told each image's
                place in this part, and if it mixes labels, it is also applied to the normalized images.

        Yields:
            Normalized images (B, C, H, W) float32 and labels (B,), on the device. Mixed labels are (B, classes)
            float32, the share of each class.

        Raises:
            DataError: The batch size is below 1; or ``augment`` was given without a generator, without ``classes``
                though it mixes labels, or for images that are not kept as uint8.
        """
        if batch_size < 1:
            raise DataError(f"the batch size must be at least 1 (got {batch_size})")
        if augment is not None and generator is None:
            raise DataError("augmentation needs a generator for its random numbers")
        if augment is not None and self.images.dtype != torch.uint8:
            raise DataError(f"only images kept as uint8 can be augmented (these are {self.images.dtype})")
        if isinstance(augment, Augment) and augment.mixes and self.classes is None:
            raise DataError("augmentation that mixes labels needs the number of classes")
        drawn = self._drawn(batch_size, generator)
        if augment is None or generator is None:
            return ((self._normalized(images), labels) for images, labels, _ in drawn)
        return (self._augmented(*batch, generator, augment) for batch in drawn)

    def _chunks(self) -> Iterator[slice]:
        """Ranges of this part's images, of at most 64 MB each as float32."""
        size = max(1, _CHUNK_BYTES // (4 * max(1, self.images[:1].numel())))
        return (slice(start, start + size) for start in range(0, len(self), size))

    def _selected(self, values: Tensor, here: slice) -> Tensor:
        """Rows of a tensor that belong to a range of this part."""
        return values[here] if self.index is None else values.index_select(0, self.index[here])

    def _drawn(self, batch_size: int, generator: Generator | None) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Batches as stored: uint8 images, labels, and if they are shuffled their places in this part."""
        shuffled, order = None, self.index
        if generator is not None:
            drawn = torch.randperm(len(self), generator=generator, device=generator.device)
            shuffled = placed(drawn, self.device)
            order = shuffled if self.index is None else self.index.index_select(0, shuffled)
        for start in range(0, len(self), batch_size):
            here = slice(start, start + batch_size)
            places = None if shuffled is None else shuffled[here]
            if order is None:
                yield self.images[here], self.labels[here], places
            else:
                yield self.images.index_select(0, order[here]), self.labels.index_select(0, order[here]), places

    def _augmented(
        self, images: Tensor, labels: Tensor, places: Tensor | None, generator: Generator, augment: Augmenter
    ) -> tuple[Tensor, Tensor]:
        if not isinstance(augment, Augment):
            return self._normalized(augment(images, generator)), labels
        normalized = self._normalized(augment(images, generator, places))
        if augment.mixes and self.classes is not None:
            return augment.mix(normalized, F.one_hot(labels, self.classes).float(), generator)
        return normalized, labels

    def _normalized(self, images: Tensor) -> Tensor:
        # In place on the new float copy: four times as fast as addcmul, or as arithmetic in bfloat16.
        return images.to(torch.float32).mul_(self._scale).add_(self._shift)
