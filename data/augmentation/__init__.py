"""Augmentations: a table of functions of a batch of images, and what a specification picks from it."""

from data.augmentation.table import (
    Augment,
    Augmentation,
    AugmentSpec,
    Kind,
    Option,
    build_augment,
    describe,
    get,
    names,
    options,
)

__all__ = [
    "Augment",
    "AugmentSpec",
    "Augmentation",
    "Kind",
    "Option",
    "build_augment",
    "describe",
    "get",
    "names",
    "options",
]
