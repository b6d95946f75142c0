"""The table of augmentations: functions of a batch of uint8 images, every image changed by its own draw.

A new one is a function ``(images (B, C, H, W) uint8, generator, *, <options with defaults>) -> same shape and type``
and a row of the table. Draws come from the generator's device, so a CPU generator gives the same pictures everywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import torch
import torch.nn.functional as F  # noqa: N812
from annotated_types import Ge, Le
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Generator, Tensor

from data.errors import DataError, unknown


def flip(images: Tensor, generator: Generator, *, p: Annotated[float, Ge(0), Le(1)] = 0.5) -> Tensor:
    """Mirror each image left to right with probability ``p``.

    Args:
        images: (B, C, H, W) uint8.
        generator: Drawn from once per image.
        p: Probability per image.
    """
    draws = torch.rand(len(images), generator=generator, device=generator.device)
    mirrored = (draws < p).nonzero().squeeze(1).to(images.device)
    return images.index_copy(0, mirrored, images.index_select(0, mirrored).flip(-1))


def crop(
    images: Tensor,
    generator: Generator,
    *,
    padding: Annotated[int, Ge(0)] = 4,
    fill: Annotated[int, Ge(0), Le(255)] = 0,
) -> Tensor:
    """Shift each image at random: pad every side, then cut the original size out of it anywhere.

    The same as torchvision's ``RandomCrop(size, padding=padding, fill=fill)``.

    Args:
        images: (B, C, H, W) uint8.
        generator: Drawn from twice per image, first all vertical and then all horizontal offsets.
        padding: Pixels added to every side.
        fill: Brightness of the added pixels.
    """
    batch, channels, height, width = images.shape
    draws = torch.randint(2 * padding + 1, (2, batch), generator=generator, device=generator.device)
    down, across = draws.to(images.device).view(2, -1, 1, 1)
    padded = F.pad(images, (padding,) * 4, value=fill).contiguous()
    # Every run of `width` pixels in memory is a row of this view, and each row of a result is one such run: copying
    # runs takes a third of the time of indexing windows by image, and a tenth of a loop over images.
    runs = padded.view(-1).unfold(0, width, 1)
    step, device = padded.stride(), images.device
    first = torch.arange(batch, device=device).view(-1, 1, 1) * step[0] + down * step[2] + across
    offsets = (
        torch.arange(channels, device=device).view(-1, 1) * step[1] + torch.arange(height, device=device) * step[2]
    )
    return runs.index_select(0, (first + offsets).flatten()).view(images.shape)


@dataclass(frozen=True)
class Augmentation:
    """One row of the table: a function of a batch, and one line on what it does."""

    name: str
    apply: Callable[..., Tensor]
    summary: str


@dataclass(frozen=True)
class Option:
    """One option of an augmentation: its name, type with limits, and default."""

    name: str
    annotation: Any
    default: Any


_TABLE = {
    row.name: row
    for row in (
        Augmentation("flip", flip, "mirror left to right with probability p"),
        Augmentation("crop", crop, "pad every side, then crop back to the size at a random place"),
    )
}


def names() -> list[str]:
    """The names of all augmentations, in the order of the table."""
    return list(_TABLE)


def get(name: str) -> Augmentation:
    """The row of an augmentation.

    Raises:
        DataError: The name is not in the table; the text lists all names and the nearest one.
    """
    if name not in _TABLE:
        raise unknown("augmentation", name, _TABLE)
    return _TABLE[name]


def options(name: str) -> dict[str, Option]:
    """The options of an augmentation: the keyword-only parameters of its function."""
    function = get(name).apply
    hints = get_type_hints(function, include_extras=True)
    return {
        parameter.name: Option(parameter.name, hints[parameter.name], parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


AugmentSpec = Sequence[str] | Mapping[str, Mapping[str, Any] | None] | None


@dataclass(frozen=True)
class Augment:
    """Augmentations applied one after the other; nothing at all if there are none.

    Attributes:
        steps: Name and all options, defaults included, of each.
    """

    steps: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = ()

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Change a batch (B, C, H, W) uint8; the given tensor is left as it is."""
        for name, chosen in self.steps:
            images = _TABLE[name].apply(images, generator, **dict(chosen))
        return images

    def __str__(self) -> str:
        """One line, as in ``flip(p=0.5), crop(padding=4, fill=0)``."""
        calls = [f"{name}({', '.join(f'{key}={value}' for key, value in chosen)})" for name, chosen in self.steps]
        return ", ".join(calls) or "none"


def build_augment(spec: AugmentSpec) -> Augment:
    """The augmentation that ``data.augment`` describes.

    Args:
        spec: Names, or a mapping of names to options (null for the defaults), applied in the order given. None for
            none. For example ``["flip", "crop"]`` or ``{"crop": {"padding": 2}, "flip": None}``.

    Raises:
        DataError: A name or an option is unknown, twice there, or out of its limits.
    """
    if spec is None:
        return Augment()
    if isinstance(spec, str) or not isinstance(spec, Sequence | Mapping):
        raise DataError(f"data.augment is {spec!r}: it must be a list of names or a mapping of names to options")
    pairs = list(spec.items()) if isinstance(spec, Mapping) else [(name, None) for name in spec]
    if twice := sorted({str(name) for name, _ in pairs if [other for other, _ in pairs].count(name) > 1}):
        raise DataError(f"data.augment names {', '.join(twice)} more than once")
    return Augment(tuple((str(name), _chosen(name, given or {})) for name, given in pairs))


def describe(spec: AugmentSpec) -> str:
    """One line on what ``data.augment`` does, all options shown; see ``build_augment``."""
    return str(build_augment(spec))


def _chosen(name: str, given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Every option of an augmentation with its given or default value, checked against its type and limits."""
    known = options(name)
    if not isinstance(given, Mapping):
        raise DataError(f"data.augment.{name} is {given!r}: it must be a mapping of options to values")
    for key in given:
        if key not in known:
            raise unknown(f"option of augmentation {name}", key, known)
    values = {key: given.get(key, option.default) for key, option in known.items()}
    for key, value in values.items():
        try:
            TypeAdapter(known[key].annotation, config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"]
            raise DataError(f"data.augment.{name}.{key} is {value!r}: {problem}") from error
    return tuple(values.items())
