"""The table of augmentations: functions of a batch of images, with an independent draw for each image.

To add one, write a function whose options are keyword-only parameters, and add a row that states its kind. Random
numbers come from the generator's device, so a CPU generator gives the same images on every device.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any, get_type_hints

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Generator, Tensor

from data.augmentation.affine import resample, rotation, scale, translation
from data.augmentation.jitter import jitter
from data.augmentation.mixing import cutmix, mixup
from data.augmentation.pixels import alternating_flip, crop, cutout, flip, vertical_flip
from data.errors import DataError, unknown
from data.words import quoted


class Kind(StrEnum):
    """What the function of an augmentation takes and returns; images are (B, C, H, W)."""

    PIXELS = "pixels"
    """``(images uint8, generator, *, options) -> images uint8``."""
    EPOCH = "epoch"
    """``(images uint8, places, epoch, seed, *, options) -> images uint8``, which depends on the epoch."""
    MAP = "map"
    """``(images, generator, *, options) -> matrices (B, 3, 3)``; see `data.augmentation.affine`."""
    MIX = "mix"
    """``(images float32, targets (B, classes) float32, generator, *, options) -> both``, of normalized images."""


@dataclass(frozen=True)
class Augmentation:
    """A row of the table: a function of a batch and a one-line summary."""

    name: str
    kind: Kind
    apply: Callable[..., Any]
    summary: str


@dataclass(frozen=True)
class Option:
    """An option of an augmentation: its name, its type with the valid range, and its default."""

    name: str
    annotation: Any
    default: Any


_TABLE = {
    row.name: row
    for row in (
        Augmentation("flip", Kind.PIXELS, flip, "mirror left to right with probability p"),
        Augmentation(
            "alternating_flip", Kind.EPOCH, alternating_flip, "mirror left to right in every other epoch, not at random"
        ),
        Augmentation("vertical_flip", Kind.PIXELS, vertical_flip, "mirror top to bottom with probability p"),
        Augmentation("crop", Kind.PIXELS, crop, "pad every side, then crop to the original size at a random position"),
        Augmentation("rotation", Kind.MAP, rotation, "rotate about the centre by up to +-degrees"),
        Augmentation("translation", Kind.MAP, translation, "shift by up to +-fraction of height and width"),
        Augmentation("scale", Kind.MAP, scale, "scale about the centre by a factor from low to high"),
        Augmentation("jitter", Kind.PIXELS, jitter, "change brightness, contrast, saturation and hue"),
        Augmentation("cutout", Kind.PIXELS, cutout, "erase a square of size pixels at a random position"),
        Augmentation("mixup", Kind.MIX, mixup, "blend images and labels with another image, by Beta(alpha, alpha)"),
        Augmentation(
            "cutmix", Kind.MIX, cutmix, "paste a box of another image, mix labels by area, by Beta(alpha, alpha)"
        ),
    )
}


def names() -> list[str]:
    """The names of all augmentations, in the order of the table."""
    return list(_TABLE)


def get(name: str) -> Augmentation:
    """The row of an augmentation.

    Raises:
        DataError: There is no such augmentation; the message lists all names.
    """
    if name not in _TABLE:
        raise unknown("augmentation", name, _TABLE)
    return _TABLE[name]


def options(name: str) -> dict[str, Option]:
    """The options of an augmentation: the keyword-only parameters of its function (and of `resample`, for a map)."""
    row = get(name)
    return _parameters(row.apply) | (_parameters(resample) if row.kind is Kind.MAP else {})


def _parameters(function: Callable[..., Any]) -> dict[str, Option]:
    hints = get_type_hints(function, include_extras=True)
    return {
        parameter.name: Option(parameter.name, hints[parameter.name], parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_RESAMPLING = frozenset(_parameters(resample))

AugmentSpec = Sequence[str] | Mapping[str, Mapping[str, Any] | None] | None


Step = tuple[str, tuple[tuple[str, Any], ...]]
"""The name of an augmentation and all its options, including defaults."""


@dataclass(frozen=True)
class Augment:
    """Augmentations that are applied one after the other.

    Consecutive rotations, translations and scalings with equal interpolation and fill are combined and interpolated
    once. Those that mix labels are applied last, wherever they are listed, since they mix normalized images; if there
    are several, one is drawn for each batch with equal probability.

    Attributes:
        steps: The augmentations, in the order given.
        epoch: Counted from 1, for those that depend on it.
        seed: Of the whole training, for the same.
    """

    steps: tuple[Step, ...] = ()
    epoch: int = 1
    seed: int = 0

    @property
    def mixes(self) -> bool:
        """Whether labels are mixed too; then call `mix` on the normalized images."""
        return bool(self._mixing)

    def __call__(self, images: Tensor, generator: Generator, places: Tensor | None = None) -> Tensor:
        """Apply everything that does not mix labels to a batch; the given tensor is not changed.

        Args:
            images: (B, C, H, W) uint8.
            generator: Of the random numbers.
            places: The images' places among those trained on, (B,) int64 on the images' device; None counts them.
        """
        places = torch.arange(len(images), device=images.device) if places is None else places
        for shared, group in groupby(self._changing, key=_shared):
            if shared is None:
                for name, chosen in group:
                    of_epoch = _TABLE[name].kind is Kind.EPOCH
                    given = (places, self.epoch, self.seed) if of_epoch else (generator,)
                    images = _TABLE[name].apply(images, *given, **dict(chosen))
            else:
                maps = [_TABLE[name].apply(images, generator, **_own(chosen)) for name, chosen in group]
                images = resample(images, _product(maps), **dict(shared))
        return images

    def mix(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mix a batch; the given tensors are not changed.

        Args:
            images: (B, C, H, W) float32, normalized.
            targets: (B, classes) float32, the share of each class.
            generator: If there are several, first used to draw one of them.
        """
        if not self.mixes:
            return images, targets
        number = len(self._mixing)
        drawn = int(torch.randint(number, (), generator=generator, device=generator.device)) if number > 1 else 0
        name, chosen = self._mixing[drawn]
        mixed: tuple[Tensor, Tensor] = _TABLE[name].apply(images, targets, generator, **dict(chosen))
        return mixed

    def __str__(self) -> str:
        """One line, such as ``flip(p=0.5), cutout(size=16, fill=127), mixup(alpha=0.2) or cutmix(alpha=1.0)``."""
        parts = [_call(step) for step in self._changing]
        return ", ".join(parts + [" or ".join(map(_call, self._mixing))] * self.mixes) or "none"

    @property
    def _changing(self) -> list[Step]:
        return [step for step in self.steps if _TABLE[step[0]].kind is not Kind.MIX]

    @property
    def _mixing(self) -> list[Step]:
        return [step for step in self.steps if _TABLE[step[0]].kind is Kind.MIX]


def _shared(step: Step) -> tuple[tuple[str, Any], ...] | None:
    """The resampling options of a map, which must be equal for maps to be combined; None for other augmentations."""
    name, chosen = step
    return tuple(pair for pair in chosen if pair[0] in _RESAMPLING) if _TABLE[name].kind is Kind.MAP else None


def _own(chosen: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in chosen if key not in _RESAMPLING}


def _product(maps: Sequence[Tensor]) -> Tensor:
    """Combine consecutive maps, in their order, into one."""
    return functools.reduce(torch.matmul, maps)


def _call(step: Step) -> str:
    name, chosen = step
    return f"{name}({', '.join(f'{key}={value}' for key, value in chosen)})"


def build_augment(spec: AugmentSpec) -> Augment:
    """The augmentation that ``data.augment`` describes.

    Args:
        spec: Names, or a mapping of names to options (None for the defaults), applied in the order given. None for no
            augmentation. For example ``["flip", "crop"]`` or ``{"crop": {"padding": 2}, "flip": None}``.

    Raises:
        DataError: A name or an option is unknown, repeated or out of range, or two options contradict each other.
    """
    if spec is None:
        return Augment()
    if isinstance(spec, str) or not isinstance(spec, Sequence | Mapping):
        raise DataError(f"data.augment must be a list of names or a mapping of names to options (got {_shown(spec)})")
    pairs = list(spec.items()) if isinstance(spec, Mapping) else [(name, None) for name in spec]
    if twice := sorted({str(name) for name, _ in pairs if [other for other, _ in pairs].count(name) > 1}):
        raise DataError(f"data.augment must list each name once (got {', '.join(twice)} more than once)")
    if both := [name for name, _ in pairs if name in ("flip", "alternating_flip")][1:]:
        raise DataError(f"data.augment must have flip or alternating_flip, not both; remove {both[0]}")
    return Augment(tuple((str(name), _chosen(name, given or {})) for name, given in pairs))


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str) else repr(value)


def describe(spec: AugmentSpec) -> str:
    """One line on what ``data.augment`` does, with all options; see ``build_augment``."""
    return str(build_augment(spec))


def _chosen(name: str, given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """All options of an augmentation, with the given values or defaults, after checking types and ranges."""
    known = options(name)
    if not isinstance(given, Mapping):
        raise DataError(f"data.augment.{name} must be a mapping of options to values (got {_shown(given)})")
    for key in given:
        if key not in known:
            raise unknown(f"option of augmentation {name}", key, known)
    values = {key: given.get(key, option.default) for key, option in known.items()}
    for key, value in values.items():
        try:
            TypeAdapter(known[key].annotation, config=_STRICT).validate_python(value)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"].replace("Input should be", "must be")
            raise DataError(f"data.augment.{name}.{key} {problem} (got {_shown(value)})") from error
    if name == "scale" and values["low"] > values["high"]:
        raise DataError(f"data.augment.scale.low must be at most high={values['high']:g} (got {values['low']:g})")
    return tuple(values.items())
