"""Preparing a dataset for use, and the numbers that describe it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from data.normalize import channel_moments
from data.sources import ensure, load_test, load_train
from data.values import ImageSet, Say, Source, silent


@dataclass(frozen=True)
class Statistics:
    """The numbers that ``imagetune prepare`` prints.

    Attributes:
        input_shape: (channels, height, width).
        classes: Class names.
        train_size: Number of training images, before validation images are taken from them.
        test_size: Number of test images.
        train_counts: Number of training images of each class.
        test_counts: Number of test images of each class.
        mean: Mean of each channel over the training images, pixels in 0..1.
        std: Standard deviation of each channel over the training images.
        skipped: Number of images of both parts that were left out because they cannot be read.
    """

    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train_size: int
    test_size: int
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped: int


def prepare(source: Source, root: Path, *, say: Say = silent) -> Statistics:
    """Verify a dataset, download what is missing or damaged, prepare it for use, and describe it.

    Raises:
        DamagedDataError: A file is damaged and could not be replaced.
        DataError: The images are missing or cannot be used; the text says why and what to do.
    """
    ensure(source, root, say=say)
    say = _once(say)
    train, test = load_train(source, root, say=say), load_test(source, root, say=say)
    mean, std = channel_moments(train.images)
    _, channels, height, width = train.images.shape
    return Statistics(
        (channels, height, width),
        train.classes,
        len(train.labels),
        len(test.labels),
        _class_counts(train),
        _class_counts(test),
        mean,
        std,
        train.skipped + test.skipped,
    )


def _once(say: Say) -> Say:
    """Repeat no message: both sets come with the same notes on their folder."""
    told: set[str] = set()

    def say_once(message: str) -> None:
        if message not in told:
            told.add(message)
            say(message)

    return say_once


def _class_counts(part: ImageSet) -> tuple[int, ...]:
    return tuple(torch.bincount(part.labels, minlength=len(part.classes)).tolist())
