"""The numbers that describe a dataset, and making it ready for use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from data.normalize import channel_moments
from data.sources import ensure, load_test, load_train
from data.values import ImageSet, Say, Source, silent


@dataclass(frozen=True)
class Statistics:
    """What ``imagetune prepare`` prints.

    Attributes:
        input_shape: (channels, height, width).
        classes: Class names.
        train_size: Images to train on, validation not yet carved from them.
        test_size: Images of the test part.
        train_counts: Images of each class in the train part.
        test_counts: The same of the test part.
        mean: Of each channel over the train part, pixels in 0..1.
        std: Standard deviation of each channel over the train part.
        skipped: Images of both parts left out because they could not be read.
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
        DataError: The images cannot be had; the text says why and what to do.
    """
    ensure(source, root, say=say)
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


def _class_counts(part: ImageSet) -> tuple[int, ...]:
    return tuple(torch.bincount(part.labels, minlength=len(part.classes)).tolist())
