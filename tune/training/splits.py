"""An experiment's images, split and on the device. The test images are not read here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import data
from tune.spec.data_spec import DataSpec


@dataclass(frozen=True)
class Splits:
    """What a training sees of a data set.

    Attributes:
        train: Images to train on.
        validation: Other images to validate on; None if there are none.
        classes: Class names in the order of the labels.
        input_shape: (C, H, W), in pixels.
        split_hash: Equal for the same split of the same labels; `identity` says whether the images are the same.
        normalization: Mean and standard deviation per channel, for both parts; needed again to use the model.
        identity: What the images are, by content.
        skipped: Unreadable images that were left out.
        files: Paths below the user's folder, of all images that both parts are taken from; None for other data sets.
    """

    train: data.Resident
    validation: data.Resident | None
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    split_hash: str
    normalization: data.Normalization
    identity: data.DataIdentity
    skipped: int = 0
    files: Sequence[str] | None = None


def open_splits(
    spec: DataSpec,
    root: Path,
    device: torch.device,
    *,
    full: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> Splits:
    """Read and split the images of an experiment and move them to the device.

    On the CPU the images are memory maps that all processes on the machine share; to another device they are copied.
    Several trainings may use the same splits at once.

    Args:
        spec: Which images, and how they are split and normalized.
        root: The data directory, as torchvision's `root`.
        device: Where the batches are made.
        full: Train on the validation images too, without validation.
        say: Called with a line about anything slow or unexpected.

    Raises:
        data.DataError: The images are not available, damaged, or too few for this split.
    """
    return split_up(spec, *data.load_train_with_identity(spec.source, root, say=say), device, full=full)


def split_up(
    spec: DataSpec, images: data.ImageSet, identity: data.DataIdentity, device: torch.device, *, full: bool = False
) -> Splits:
    """Split images that have been read; for the arguments, and what is raised, see `open_splits`."""
    parts = data.split(images.labels, spec.validation_fraction, spec.split_seed)
    if spec.train_limit is not None:
        parts = data.limit(parts, spec.train_limit, images.labels)
    index = torch.cat([parts.train, parts.validation]).sort().values if full else parts.train
    normalization = _normalization(spec, images, index)

    def placed(part: torch.Tensor) -> data.Resident:
        classes = len(images.classes)
        bound = data.Resident(images.images, images.labels, part, normalization=normalization, classes=classes)
        return bound.to(device)

    _, channels, height, width = images.images.shape
    return Splits(
        train=placed(index),
        validation=None if full or not len(parts.validation) else placed(parts.validation),
        classes=images.classes,
        input_shape=(channels, height, width),
        split_hash=f"{parts.hash}-full" if full else parts.hash,
        normalization=normalization,
        identity=identity,
        skipped=images.skipped,
        files=images.files,
    )


def _normalization(spec: DataSpec, images: data.ImageSet, train: torch.Tensor) -> data.Normalization:
    """Mean and standard deviation as the experiment specifies them; `dataset` measures them on training images."""
    if isinstance(spec.normalize, str):
        return data.normalization(spec.normalize, images.images, train)
    channels = images.images.shape[1]
    mean, std = spec.normalize.mean, spec.normalize.std
    return data.Normalization(mean * channels, std * channels) if len(mean) == 1 else data.Normalization(mean, std)


def augment_of(spec: DataSpec) -> data.Augment | None:
    """The augmentation of training images; None if there is none."""
    table = {name: json.loads(options) for name, options in spec.augment}
    return data.build_augment(table) if table else None


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Optimizer steps per epoch: a smaller last batch counts, unless it is a single image of several.

    Batch normalization of a single image with one pixel per channel is undefined, and torch refuses it. Images are
    shuffled, so another one is left out in every epoch.
    """
    steps, rest = divmod(images, batch_size)
    return steps + (rest > 1 or (rest == 1 and steps == 0))
