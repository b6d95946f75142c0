"""Augmentations that rotate, shift and scale uint8 images, with an independent draw for each image.

Each returns homogeneous (B, 3, 3) float64 matrices on the generator's device. A matrix maps a point (x, y, 1) of the
result to the point of the image shown there, both in pixels from the image's centre. Matrices of neighbouring steps are
multiplied, so that the images are interpolated only once, by ``resample``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Generator, Tensor

from data.augmentation.pixels import Brightness
from data.placing import placed

Interpolation = Literal["nearest", "bilinear"]
Factor = Annotated[float, Ge(0.1), Le(10)]


def rotation(images: Tensor, generator: Generator, *, degrees: Annotated[float, Ge(0), Le(180)] = 15.0) -> Tensor:
    """Rotate each image about its centre by up to ``degrees`` in either direction.

    Args:
        images: (B, C, H, W).
        generator: Used once per image.
        degrees: The largest angle.

    Returns:
        Matrices (B, 3, 3).
    """
    angles = _uniform(images, generator, -degrees, degrees).deg2rad()
    cos, sin = angles.cos(), angles.sin()
    maps = _identities(cos)
    maps[:, 0, 0], maps[:, 0, 1] = cos, sin
    maps[:, 1, 0], maps[:, 1, 1] = -sin, cos
    return maps


def translation(images: Tensor, generator: Generator, *, fraction: Annotated[float, Ge(0), Le(1)] = 0.1) -> Tensor:
    """Shift each image by whole pixels, up to ``fraction`` of its height and width, in either direction.

    Args:
        images: (B, C, H, W).
        generator: Used twice per image, first for all vertical and then for all horizontal shifts.
        fraction: The largest shift; 1 is the whole side.

    Returns:
        Matrices (B, 3, 3).
    """
    down, across = (_uniform(images, generator, -fraction * n, fraction * n).round() for n in images.shape[2:])
    maps = _identities(down)
    maps[:, 0, 2], maps[:, 1, 2] = -across, -down
    return maps


def scale(images: Tensor, generator: Generator, *, low: Factor = 0.9, high: Factor = 1.1) -> Tensor:
    """Scale the content of each image about its centre by a factor from ``low`` to ``high``.

    Args:
        images: (B, C, H, W).
        generator: Used once per image.
        low: The smallest factor; below 1 the content shrinks.
        high: The largest factor.

    Returns:
        Matrices (B, 3, 3).
    """
    factors = _uniform(images, generator, low, high)
    maps = _identities(factors)
    maps[:, 0, 0] = maps[:, 1, 1] = 1 / factors
    return maps


def resample(images: Tensor, maps: Tensor, *, interpolation: Interpolation = "nearest", fill: Brightness = 0) -> Tensor:
    """Transform images by matrices, with a single interpolation.

    Rotation, scale and translation in this order equal torchvision's ``RandomAffine(degrees, translate, scale)``, whose
    default interpolation is ``nearest`` too.

    Args:
        images: (B, C, H, W) uint8.
        maps: (B, 3, 3).
        interpolation: ``nearest``, or ``bilinear``, which takes two to three times as long.
        fill: Brightness outside of the image.

    Returns:
        (B, C, H, W) uint8.
    """
    batch, channels, height, width = images.shape
    across, down = _places(placed(maps.float(), images.device), height, width)
    if interpolation == "bilinear":
        grid = torch.stack([(2 * across + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1)
        # grid_sample takes pixels outside of the image as 0, so the fill is subtracted before and added afterwards.
        looked_up = F.grid_sample(images.float().sub_(fill), grid, align_corners=False)
        return looked_up.add_(fill).round_().to(torch.uint8)
    # A border of one pixel stands for everything outside. Gathering bytes takes a third of the time of grid_sample.
    rimmed = F.pad(images, (1, 1, 1, 1), value=fill).view(batch, channels, -1)
    column = across.round_().clamp_(-1, width)
    row = down.round_().clamp_(-1, height)
    index = column.add_(row, alpha=width + 2).add_(width + 3).long()
    return rimmed.gather(2, index.view(batch, 1, -1).expand(-1, channels, -1)).view(images.shape)


def _places(maps: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Columns and rows of the images, (B, H, W) each, for every pixel of the result."""
    x = torch.arange(width, device=maps.device) - (width - 1) / 2
    y = torch.arange(height, device=maps.device) - (height - 1) / 2
    along_x = maps[:, :2, :1] * x + maps[:, :2, 2:]
    along_y = maps[:, :2, 1:2] * y
    across = (along_x[:, 0, None, :] + (width - 1) / 2) + along_y[:, 0, :, None]
    down = (along_x[:, 1, None, :] + (height - 1) / 2) + along_y[:, 1, :, None]
    return across, down


def _uniform(images: Tensor, generator: Generator, low: float, high: float) -> Tensor:
    """One random number per image from ``low`` to ``high``, (B,) float64."""
    draws = torch.rand(len(images), generator=generator, device=generator.device)
    return draws.double() * (high - low) + low


def _identities(like: Tensor) -> Tensor:
    return torch.eye(3, dtype=like.dtype, device=like.device).repeat(len(like), 1, 1)
