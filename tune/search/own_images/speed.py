"""How long an epoch of an experiment takes on this machine, measured on random images."""

from __future__ import annotations

import math

import torch

import data
from tune.spec.experiment import Experiment
from tune.training.loop import Training
from tune.training.splits import Splits

_BATCHES = 3


def seconds_per_epoch(experiment: Experiment, side: int, classes: int, images: int, device: torch.device) -> float:
    """Train a few batches, and return the time for an epoch with validation, without the start of a process.

    Args:
        experiment: What is to be trained, for at least two epochs.
        side: Height and width of the images, which have three channels.
        classes: The number of classes.
        images: The number of images in the train part, those for validation included.
        device: Where to train.

    Raises:
        models.ModelError: The model cannot be built for these images.
        InfeasibleError: The configuration cannot be trained.
    """
    share = experiment.data.validation_fraction
    wanted = max(1, round(images * (1 - share)))
    used = min(wanted, _BATCHES * experiment.training.batch_size)
    train = _random_images(used, side, classes)
    validation = _random_images(max(1, round(used * share / (1 - share))), side, classes)
    names = tuple(map(str, range(classes)))
    splits = Splits(
        train.to(device),
        validation.to(device),
        names,
        (3, side, side),
        split_hash="",
        normalization=train.normalization,
        identity=data.DataIdentity("folder", names),
    )
    training = Training(experiment, splits, device=device)
    training.run_epoch()  # the first is slow: memory is allocated, kernels are chosen
    return training.run_epoch().seconds * math.ceil(wanted / used * 10) / 10


def _random_images(count: int, side: int, classes: int) -> data.Resident:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return data.Resident(images, labels, normalization=data.normalization("half", images), classes=classes)
