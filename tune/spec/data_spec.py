"""The `data` section of an experiment: which images, and how they are prepared for the model."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

import data
from data import augmentation as augmentations
from data import registry as datasets
from data.words import label
from tune.spec.base import FROM_LIST, Count, Fraction, Frozen, NestedError
from tune.spec.dotted import within
from tune.spec.errors import OVERRIDE, Problem, one_of, shown

SPLIT_FIELDS = (
    "data.name",
    "data.validation_fraction",
    "data.test_fraction",
    "data.split_seed",
    "data.train_limit",
    "data.skip_unreadable",
    "data.max_pixels",
)
"""The fields that decide which images there are and which part each is in.

A search has one value of each: losses on different images cannot be compared, and a winner must not be tested on images
that its search was trained on or judged by. `data.path` is where the images are, and cannot be searched either; that
they are the same images elsewhere is checked by their content. The experiment's `seed` is none of these: it decides the
initial weights and the order of the images, and searching it measures the noise.
"""


def split_problems(overrides: Iterable[str]) -> list[Problem]:
    """What is wrong with overrides of a trial, by dotted name, that would draw its test images again."""
    message = (
        "cannot be changed here: trials were compared on these images, and the test set must not contain any of them"
    )
    return [
        Problem(name, f"{message}; remove it, or start a new search with it", OVERRIDE)
        for name in overrides
        if name == "data" or within(name, SPLIT_FIELDS)
    ]


PerChannel = Annotated[tuple[float, ...], FROM_LIST]


class Normalization(Frozen):
    """Per channel: (pixel / 255 - mean) / std, with one number per channel, or one for all."""

    mean: PerChannel
    std: PerChannel

    @field_validator("mean")
    @classmethod
    def _not_empty(cls, mean: tuple[float, ...]) -> tuple[float, ...]:
        if not mean:
            raise ValueError("must be a number per channel, or one for all (got [])")
        return mean

    @field_validator("std")
    @classmethod
    def _matches_mean(cls, std: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        mean = info.data.get("mean")
        if mean is not None and len(std) != len(mean):
            raise ValueError(f"must have as many numbers as mean, {len(mean)} (got {shown(std)})")
        if not std or min(std) <= 0:
            raise ValueError(f"must be numbers above 0 (got {shown(std)})")
        return std


def _normalize_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "a name"
    return "a mapping" if isinstance(value, dict | Normalization) else None


Normalize = Annotated[
    Annotated[Literal["half", "dataset", "none"], Tag("a name")] | Annotated[Normalization, Tag("a mapping")],
    Discriminator(
        _normalize_form,
        custom_error_type="form",
        custom_error_message="half, dataset, none, or a mapping with mean and std",
    ),
]


@functools.cache
def augment_class(name: str) -> type[Frozen]:
    """The options of one augmentation, with their types, limits and defaults."""
    fields: dict[str, Any] = {
        option.name: (option.annotation, option.default) for option in augmentations.options(name).values()
    }
    return create_model(f"{name}_options", __base__=Frozen, **fields)


_NULLABLE: dict[str, Any] = {name: (augment_class(name) | None, None) for name in augmentations.names()}
Augmentations = create_model("Augmentations", __base__=Frozen, **_NULLABLE)
"""Options by augmentation, null for the defaults."""


def _parse_augment(raw: Any) -> Any:
    """Pairs (name, all options as JSON), from a list of names or a mapping of names to options."""
    if isinstance(raw, tuple):
        return raw
    named = isinstance(raw, list) and all(isinstance(name, str) for name in raw)
    if not named and not isinstance(raw, dict):
        raise ValueError(f"must be a list of names, or a mapping of names to options (got {shown(raw)})")
    if twice := [name for name in dict.fromkeys(raw) if list(raw).count(name) > 1]:
        raise ValueError(f"lists {', '.join(twice)} more than once; list each once")
    try:
        table = Augmentations.model_validate(raw if isinstance(raw, dict) else dict.fromkeys(raw))
    except ValidationError as error:
        raise NestedError(Augmentations, error) from None
    chosen = {name: getattr(table, name) or augment_class(name)() for name in raw}
    try:  # rules about several options together
        data.build_augment({name: options.model_dump() for name, options in chosen.items()})
    except data.DataError as error:
        raise ValueError(str(error).removeprefix("data.augment.")) from None
    return tuple((name, options.model_dump_json()) for name, options in chosen.items())


def _augment_table(steps: tuple[tuple[str, str], ...]) -> dict[str, dict[str, Any]]:
    return {name: json.loads(options) for name, options in steps}


Augment = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_parse_augment), PlainSerializer(_augment_table)]
"""Augmentations in the order in which they are applied: hashable here, a mapping in YAML."""


class DataSpec(Frozen):
    """Which images, how they are split into parts, and how they are prepared for the model.

    Attributes:
        name: The data set; see `imagetune datasets`.
        path: Your folder of images (data set `folder` only), relative to the working directory.
        image_size: Height and width in pixels that images are resized to (data set `folder` only).
        validation_fraction: The share of the training images that is set aside for validation.
        test_fraction: The share of all images that is set aside for testing, if a folder has no `test/`.
        split_seed: Decides which images are set aside.
        train_limit: Train on at most this many images.
        skip_unreadable: Leave out files that cannot be decoded instead of stopping.
        max_pixels: Refuse images with more pixels than this, before they are decoded.
        normalize: How pixels are scaled: half (to -1 to 1), dataset (by the training images' own mean and standard
            deviation), none (to 0 to 1), or a mean and std of your own.
        augment: Random changes to the training images, applied in this order (`data.augmentation`).
    """

    name: str
    path: Annotated[str | None, Field(validate_default=True)] = None
    image_size: Annotated[Annotated[int, Ge(1), Le(65_536)] | None, Field(validate_default=True)] = None
    validation_fraction: Fraction = 0.1
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    split_seed: Annotated[int, Ge(0), Lt(2**32)] = 42
    train_limit: Count | None = None
    skip_unreadable: bool = False
    max_pixels: Annotated[int, Ge(1), Lt(2**63)] = data.Source.max_pixels
    normalize: Normalize = "half"
    augment: Augment = ()

    @property
    def label(self) -> str:
        """What people call the data set: its name, or for their own images the name of the folder."""
        return label(self.name, self.path)

    @property
    def mixing(self) -> tuple[str, ...]:
        """The augmentations that mix labels as well as images."""
        return tuple(name for name, _ in self.augment if augmentations.get(name).kind is augmentations.Kind.MIX)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in datasets.names():
            raise ValueError(one_of(name, datasets.names()))
        return name

    @field_validator("path", "image_size")
    @classmethod
    def _goes_with_folder(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.data.get("name")
        if name == "folder" and not value:
            what = (
                "the folder with your images" if info.field_name == "path" else "the side in pixels to resize images to"
            )
            raise ValueError(f"is required: {what}")
        if name not in (None, "folder") and value is not None:
            raise ValueError(f"is only for data.name=folder, not for {name} (got {shown(value)}); remove it")
        if isinstance(value, str) and "\0" in value:
            raise ValueError(f"must be a path (got {shown(value)})")
        # Absolute, since workers have another working directory and a resume may start from anywhere.
        return str(Path(os.path.expanduser(value)).absolute()) if isinstance(value, str) else value

    @property
    def source(self) -> data.Source:
        """What the data package needs to find and read the images."""
        return data.Source(
            name=self.name,
            path=self.path,
            image_size=self.image_size,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            skip_unreadable=self.skip_unreadable,
            max_pixels=self.max_pixels,
        )
