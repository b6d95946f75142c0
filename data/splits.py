"""Seeded, stratified splits of a training set into training and validation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import DataError
from data.words import counted

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Which images are trained on and which validate.

    Attributes:
        train: Sorted positions, (n,) int64.
        validation: Sorted positions, (m,) int64; empty if no validation was asked for.
        seed: Seed of the draw.
        hash: Hex digest of the positions of both parts and of the labels there. Positions and labels only: that the
            images are the same is what ``DataIdentity.digest`` is for.
    """

    train: Tensor
    validation: Tensor
    seed: int
    hash: str


def split(labels: Tensor, fraction: float, seed: int) -> Split:
    """Take a validation set out of a training set, with the same share of every class.

    The validation set has exactly ``round(fraction * N)`` images. Shares are rounded by largest remainder, and ties
    are broken at random. Every class keeps at least one image to train on, so a class with a single image has none in
    validation. (scikit-learn's StratifiedShuffleSplit refuses such classes, and parts smaller than the number of
    classes.)

    Args:
        labels: (N,) integers.
        fraction: Share of the validation set, in [0, 1). For example ``0.1`` of MNIST's 60,000 is 6,000 images.
        seed: Seed of the draw; NumPy's and PyTorch's global generators are neither used nor changed.

    Raises:
        DataError: The fraction is outside [0, 1), or too small or too large for these labels.
    """
    if not 0.0 <= fraction < 1.0:
        raise DataError(f"the fraction must be at least 0 and below 1 (got {fraction})")
    total, wanted = len(labels), round(fraction * len(labels))
    if fraction > 0 and wanted == 0:
        raise DataError(
            f"a fraction of {fraction} of {counted(total, 'image')} is less than one image; use a larger one, or 0"
        )
    classes, counts = np.unique(labels.numpy(), return_counts=True)
    room = total - len(classes)
    if wanted > room:
        raise DataError(
            f"a fraction of {fraction} of {counted(total, 'image')} is {wanted:,}, but each of "
            f"{counted(len(classes), 'class')} needs an image to train on, which leaves {room:,}; use a "
            "smaller fraction, or add images"
        )
    validation = _draw(labels.numpy(), wanted, seed, most=counts - 1)
    train = np.setdiff1d(np.arange(total), validation, assume_unique=True)
    return _hashed(torch.from_numpy(train), torch.from_numpy(validation), labels, seed)


def limit(split: Split, n: int, labels: Tensor) -> Split:
    """Keep ``n`` training images of a split, with the same share of every class; validation stays as it is.

    Args:
        split: The split to reduce, made from ``labels``.
        n: Number of images to keep, ``data.train_limit``.
        labels: (N,) integers, of the whole part that was split.

    Raises:
        DataError: ``n`` is below 1 or above the number of images there are.
    """
    if not 1 <= n <= len(split.train):
        raise DataError(
            f"data.train_limit must be between 1 and the number of training images, {len(split.train):,} (got {n:,})"
        )
    own = labels[split.train].numpy()
    kept = torch.from_numpy(_draw(own, n, split.seed, most=np.unique(own, return_counts=True)[1]))
    return _hashed(split.train[kept], split.validation, labels, split.seed)


def _draw(labels: Integers, wanted: int, seed: int, most: Integers) -> Integers:
    """Draw ``wanted`` positions, sorted, from every class by its share and at most ``most[class]`` of it."""
    # The legacy generator: NumPy never changes its stream (NEP 19), so a recorded split stays the same.
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
        # Full classes cannot give more; of the others the one furthest below its share comes first.
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
