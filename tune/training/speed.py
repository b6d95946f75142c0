"""How long an experiment takes on this machine: an epoch, or a step, measured on random images."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence

import torch

import data
from tune.spec.experiment import Experiment
from tune.training.graph import BEFORE
from tune.training.loop import Training
from tune.training.splits import Splits

_BATCHES = 3
_ENOUGH = 0.4  # seconds after which steps are not measured once more, unless they were only once
_TOO_LONG = 4.0  # seconds after which they are not in any case
_MOST_TURNS = 30


def seconds_per_epoch(
    experiment: Experiment, input_shape: tuple[int, int, int], classes: int, images: int, device: torch.device
) -> float:
    """Train a few batches, and return the time for an epoch with validation, without the start of a process.

    Where it trains on smaller images first, the mean over all epochs is estimated from their pixels.

    Args:
        experiment: What is to be trained.
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
    validation = max(1, round(used * share / (1 - share))) if share else 0
    training = _endless(experiment, _random_splits(used, validation, input_shape, classes, device), device)
    training.run_epoch()  # the first is slow: memory is allocated, kernels are chosen
    sizes = experiment.training.progressive_size
    pixels = 1.0 if sizes is None else sizes.pixels(input_shape[1:], experiment.training.epochs)
    return training.run_epoch().seconds * pixels * math.ceil(wanted / used * 10) / 10


def measurable(
    experiment: Experiment, input_shape: tuple[int, int, int], classes: int, device: torch.device
) -> Training:
    """A training of two steps an epoch for `seconds_per_step`, which does not diverge and has no end.

    For the arguments, and what is raised, see `seconds_per_epoch`.
    """
    splits = _random_splits(2 * experiment.training.batch_size, 0, input_shape, classes, device)
    return _endless(experiment, splits, device)


def _endless(experiment: Experiment, splits: Splits, device: torch.device) -> Training:
    """A training that does not diverge and has no end; on a GPU its steps are recorded already."""
    spec = experiment.training
    endless = {
        "epochs": 10**6,
        "early_stopping": None,
        "progressive_size": None,
        "optimizer": spec.optimizer.model_copy(update={"lr": 1e-6}),
    }
    experiment = experiment.model_copy(update={"training": spec.model_copy(update=endless)})
    training = Training(experiment, splits, device=device)
    if device.type == "cuda":
        while len(training.history) <= BEFORE:
            training.run_epoch()
    return training


def seconds_per_step(
    variants: Sequence[tuple[Training, int]], device: torch.device, *, typical: bool = False
) -> list[float]:
    """The time of a training step of each variant; infinite if its loss is not finite.

    The variants take turns, and the least of the times counts, so that other processes disturb all alike, or none.
    Takes half a second, unless the steps are long.

    Args:
        variants: Trainings by `measurable`, each with a number of CPU threads. One may be given repeatedly.
        device: Where they train.
        typical: Take the median of the times instead: what is disturbed is to count.
    """
    found, broken, began = [list[float]() for _ in variants], set[int](), time.perf_counter()
    for turn in range(1, _MOST_TURNS + 1):
        for index, (training, threads) in enumerate(variants):
            if id(training) not in broken:
                training.threads = threads
                found[index].append(_second_step(training, device))
                if training.end is not None:
                    broken.add(id(training))
        passed = time.perf_counter() - began
        if passed > _TOO_LONG or (passed > _ENOUGH and turn > 1):
            break
    summary = statistics.median if typical else min
    owners = [id(training) for training, _ in variants]
    return [math.inf if owner in broken else summary(own) for owner, own in zip(owners, found, strict=True)]


def _second_step(training: Training, device: torch.device) -> float:
    """The seconds of an epoch's second step; the first may have to wake threads and to allocate memory."""
    ticks: list[float] = []

    def tick(step: int, steps: int, lr: float) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        ticks.append(time.perf_counter())

    training.run_epoch(tick)
    return ticks[1] - ticks[0]


def _random_splits(
    train: int, validation: int, input_shape: tuple[int, int, int], classes: int, device: torch.device
) -> Splits:
    """Random images, as many to train and to validate on; no validation images if that is 0."""
    images = _random_images(train, input_shape, classes)
    names = tuple(map(str, range(classes)))
    return Splits(
        images.to(device),
        _random_images(validation, input_shape, classes).to(device) if validation else None,
        names,
        input_shape,
        split_hash="",
        normalization=images.normalization,
        identity=data.DataIdentity("folder", names),
    )


def _random_images(count: int, input_shape: tuple[int, int, int], classes: int) -> data.Resident:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *input_shape), dtype=torch.uint8, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return data.Resident(images, labels, normalization=data.normalization("half", images), classes=classes)
