"""How long an epoch of an experiment takes on this machine, measured on random images."""

from __future__ import annotations

import math

import torch

import data
from tune.spec.experiment import Experiment
from tune.training.loop import Training
from tune.training.splits import Splits

_BATCHES = 3


def seconds_per_epoch(
    experiment: Experiment, input_shape: tuple[int, int, int], classes: int, images: int, device: torch.device
) -> float:
    """Train a few batches, and return the time for an epoch with validation, without the start of a process.

    Args:
        experiment: What is to be trained, for at least two epochs.
        input_shape: (C, H, W) of the images, in pixels.
        classes: The number of classes.
        images: The number of training images, those for validation included.
        device: Where to train.

    Raises:
        models.ModelError: The model cannot be built for these images.
        InfeasibleError: The configuration cannot be trained.
    """
    share = experiment.data.validation_fraction
    wanted = max(1, round(images * (1 - share)))
    wanted = min(wanted, experiment.data.train_limit or wanted)
    used = min(wanted, _BATCHES * experiment.training.batch_size)
    train = _random_images(used, input_shape, classes)
    validation = _random_images(max(1, round(used * share / (1 - share))), input_shape, classes) if share else None
    names = tuple(map(str, range(classes)))
    splits = Splits(
        train.to(device),
        None if validation is None else validation.to(device),
        names,
        input_shape,
        split_hash="",
        normalization=train.normalization,
        identity=data.DataIdentity("folder", names),
    )
    training = Training(experiment, splits, device=device)
    training.run_epoch()  # the first is slow: memory is allocated, kernels are chosen
    return training.run_epoch().seconds * math.ceil(wanted / used * 10) / 10


def _random_images(count: int, input_shape: tuple[int, int, int], classes: int) -> data.Resident:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *input_shape), dtype=torch.uint8, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return data.Resident(images, labels, normalization=data.normalization("half", images), classes=classes)
