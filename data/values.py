"""The values that pass between the parts of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # Listing datasets must not cost an import of torch.
    from torch import Tensor

Part = Literal["train", "test"]
Say = Callable[[str], None]


def silent(message: str) -> None:
    """Tell nobody: the default where a caller wants no progress."""


@dataclass(frozen=True)
class Source:
    """Which images: all that is needed to read a dataset.

    Attributes:
        name: A name of the table in ``data.registry``.
        path: The user's folder (``folder`` only).
        image_size: Side in pixels to which images are resized, both ways (``folder`` only, required there).
        test_fraction: Share of the images kept for the test part where the folder has no ``train/`` and ``test/``.
        split_seed: Seed of that split.
        skip_unreadable: Leave out and count images that cannot be read, instead of refusing (``folder`` only).
    """

    name: str
    path: str | None = None
    image_size: int | None = None
    test_fraction: float = 0.2
    split_seed: int = 42
    skip_unreadable: bool = False


@dataclass(frozen=True)
class ImageSet:
    """One part of a dataset, as stored.

    Attributes:
        images: (N, C, H, W) uint8. Usually a copy-on-write memory map: treat it as read-only.
        labels: (N,) int64, positions in ``classes``.
        classes: Class names.
        skipped: Images left out because they could not be read.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    skipped: int = 0


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before any image is decoded.

    Attributes:
        input_shape: (channels, height, width).
        classes: Class names in the order of the labels.
        train_size: Images of the train part before validation is carved from it; None if unknown.
    """

    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train_size: int | None
