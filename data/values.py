"""The values that pass between the parts of this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Literal

from data.words import counted

if TYPE_CHECKING:  # Listing datasets must not cost an import of torch.
    from torch import Tensor

MAX_PIXELS = 178_956_970
"""Largest image that is decoded by default: Pillow's own limit, 512 MB as RGB."""

Part = Literal["train", "test"]
Say = Callable[[str], None]
Unreadable = tuple[int, str]
"""Position of an image in its part, and why it cannot be read."""


def silent(message: str) -> None:
    """Ignore a message: the default where a caller wants no progress."""


class Progress:
    """Says every few seconds how far a task over many images is, and how much time is left."""

    every_seconds = 5.0

    def __init__(self, verb: str, total: int, say: Say, done: int = 0) -> None:
        """Start the clock.

        Args:
            verb: What is done to the images, as in "decoded".
            total: How many there are.
            say: Called with a line about the progress.
            done: How many were done before.
        """
        self._verb, self._total, self._say, self._done = verb, total, say, done
        self._first = done
        self._started = self._told = monotonic()

    def advance(self, count: int) -> None:
        """Count more images as done."""
        self._done += count
        now = monotonic()
        if now - self._told < self.every_seconds:
            return
        self._told = now
        left = (now - self._started) / (self._done - self._first) * (self._total - self._done)
        self._say(f"{self._verb} {self._done:,} of {counted(self._total, 'image')}, about {_duration(left)} left")


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


@dataclass(frozen=True)
class Source:
    """Which images: all that is needed to read a dataset.

    Attributes:
        name: A name of the table in ``data.registry``.
        path: The user's folder (``folder`` only).
        image_size: Side in pixels to which images are resized, both ways (``folder`` only, required there).
        test_fraction: Share of the images kept for the test set where the folder has no ``train/`` and ``test/``.
        split_seed: Seed of that split.
        skip_unreadable: Leave out and count images that cannot be read, instead of refusing (``folder`` only).
        max_pixels: Images with more pixels (width times height) are refused, as a small file can claim a size that
            fills the memory (``folder`` only). The default is Pillow's.
    """

    name: str
    path: str | None = None
    image_size: int | None = None
    test_fraction: float = 0.2
    split_seed: int = 42
    skip_unreadable: bool = False
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class ImageSet:
    """One part of a dataset, as stored.

    Attributes:
        images: (N, C, H, W) uint8. Usually a copy-on-write memory map: treat it as read-only.
        labels: (N,) int64, positions in ``classes``.
        classes: Class names.
        unreadable: Of each image that was left out because it cannot be read: its position among all images of the
            part, and why.
        files: The path of each image below the user's folder; None for other datasets.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    unreadable: tuple[Unreadable, ...] = ()
    files: Sequence[str] | None = None

    @property
    def skipped(self) -> int:
        """Images left out because they cannot be read."""
        return len(self.unreadable)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before any image is decoded.

    Attributes:
        input_shape: (channels, height, width).
        classes: Class names in the order of the labels.
        train_size: Number of training images before validation images are taken from them; None if unknown.
    """

    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train_size: int | None
