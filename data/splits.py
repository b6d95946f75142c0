"""Seeded, stratified division of a train part into train and validation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import DataError

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Which images are trained on and which validate.

    Attributes:
        train: Sorted positions, (n,) int64.
        validation: Sorted positions, (m,) int64; empty if no validation was asked for.
        seed: What the division was drawn from.
        hash: Hex digest of both parts and of their labels: equal if and only if the same images are used the same way.
    """

    train: Tensor
    validation: Tensor
    seed: int
    hash: str


def split(labels: Tensor, fraction: float, seed: int) -> Split:
    """Carve a validation part out of a train part, every class by the same share.

    The validation part has exactly ``round(fraction * N)`` images. Shares are rounded by largest remainder, ties by
    chance. Every class keeps at least one image to train on, so a class with a single image stays wholly in train.
    (scikit-learn's StratifiedShuffleSplit refuses such classes, and parts smaller than the number of classes.)

    Args:
        labels: (N,) integers.
        fraction: Share that validates, in [0, 1). For example ``0.1`` of MNIST's 60,000 is 6,000 images.
        seed: Seed of the draw; NumPy's and PyTorch's global generators are neither read nor moved.

    Raises:
        DataError: The fraction is outside [0, 1), or leaves nothing to train or to validate on.
    """
    if not 0.0 <= fraction < 1.0:
        raise DataError(f"the fraction to split off is {fraction}: it must be at least 0 and below 1")
    total, wanted = len(labels), round(fraction * len(labels))
    if fraction > 0 and wanted == 0:
        raise DataError(f"a fraction of {fraction} of {total:,} images is no image at all: take a larger one, or 0")
    classes, counts = np.unique(labels.numpy(), return_counts=True)
    room = total - len(classes)
    if wanted > room:
        raise DataError(
            f"a fraction of {fraction} of {total:,} images is {wanted:,}, but at most {room:,} can be split off: "
            f"each of the {len(classes):,} classes keeps one image to train on"
        )
    validation = _draw(labels.numpy(), wanted, seed, most=counts - 1)
    train = np.setdiff1d(np.arange(total), validation, assume_unique=True)
    return _hashed(torch.from_numpy(train), torch.from_numpy(validation), labels, seed)


def limit(split: Split, n: int, labels: Tensor) -> Split:
    """Keep ``n`` images of a split's train part, every class by the same share; validation stays as it is.

    Args:
        split: What to cut, made from ``labels``.
        n: Images to keep, ``data.train_limit``.
        labels: (N,) integers, of the whole part that was split.

    Raises:
        DataError: ``n`` is below 1 or above the number of images there are.
    """
    if not 1 <= n <= len(split.train):
        raise DataError(f"data.train_limit is {n:,}: it must be between 1 and the {len(split.train):,} images to train")
    own = labels[split.train].numpy()
    kept = torch.from_numpy(_draw(own, n, split.seed, most=np.unique(own, return_counts=True)[1]))
    return _hashed(split.train[kept], split.validation, labels, split.seed)


def _draw(labels: Integers, wanted: int, seed: int, most: Integers) -> Integers:
    """Draw ``wanted`` sorted positions, every class by its share and at most ``most[class]`` of it."""
    # The legacy generator: its stream is frozen by NumPy's policy (NEP 19), so a recorded split stays what it was.
    random = np.random.RandomState(seed)
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    takes = _apportion(counts, wanted, most, random)
    shuffled = random.permutation(len(labels))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    starts = np.cumsum(counts) - counts
    drawn = [by_class[start : start + take] for start, take in zip(starts, takes, strict=True)]
    return np.sort(np.concatenate([*drawn, np.empty(0, np.int64)]))


def _apportion(counts: Integers, wanted: int, most: Integers, random: np.random.RandomState) -> Integers:
    """Divide ``wanted`` over the classes by largest remainder (Hamilton's method), never above ``most``."""
    share = counts * (wanted / max(counts.sum(), 1))
    takes: Integers = np.minimum(np.floor(share).astype(np.int64), most)
    ties = random.permutation(len(counts))
    while (short := wanted - takes.sum()) > 0:
        # Full classes cannot take more; of the others the one furthest below its share comes first.
        open_classes = ties[takes[ties] < most[ties]]
        furthest = open_classes[np.argsort(takes[open_classes] - share[open_classes], kind="stable")]
        takes[furthest[:short]] += 1
    return takes


def _hashed(train: Tensor, validation: Tensor, labels: Tensor, seed: int) -> Split:
    digest = hashlib.sha256()
    for part in (train, validation):
        for values in (part, labels[part]):
            digest.update(len(values).to_bytes(8, "little"))
            digest.update(values.numpy().astype("<i8").tobytes())
    return Split(train, validation, seed, digest.hexdigest()[:16])
