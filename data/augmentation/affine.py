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

Interpolation = Literal["nearest", "bilinear"]
Factor = Annotated[float, Ge(0.1), Le(10)]


def rotation(images: Tensor, generator: Generator, *, degrees: Annotated[float, Ge(0), Le(180)] = 15.0) -> Tensor:
    """Turn each image about its centre by up to ``degrees`` either way.

    Args:
        images: (B, C, H, W).
        generator: Drawn from once per image.
        degrees: The largest angle.

    Returns:
        Maps (B, 3, 3).
    """
    angles = _uniform(images, generator, -degrees, degrees).deg2rad()
    cos, sin = angles.cos(), angles.sin()
    maps = _identities(cos)
    maps[:, 0, 0], maps[:, 0, 1] = cos, sin
    maps[:, 1, 0], maps[:, 1, 1] = -sin, cos
    return maps


def translation(images: Tensor, generator: Generator, *, fraction: Annotated[float, Ge(0), Le(1)] = 0.1) -> Tensor:
    """Shift each image by whole pixels, up to ``fraction`` of its height and of its width, either way.

    Args:
        images: (B, C, H, W).
        generator: Drawn from twice per image, first all vertical and then all horizontal shifts.
        fraction: The largest shift, 1 for the whole side.

    Returns:
        Maps (B, 3, 3).
    """
    down, across = (_uniform(images, generator, -fraction * n, fraction * n).round() for n in images.shape[2:])
    maps = _identities(down)
    maps[:, 0, 2], maps[:, 1, 2] = -across, -down
    return maps


def scale(images: Tensor, generator: Generator, *, low: Factor = 0.9, high: Factor = 1.1) -> Tensor:
    """Scale each image about its centre by a factor from ``low`` to ``high``; the size in pixels stays.

    Args:
        images: (B, C, H, W).
        generator: Drawn from once per image.
        low: The smallest factor; below 1 for images that shrink.
        high: The largest factor.

    Returns:
        Maps (B, 3, 3).
    """
    factors = _uniform(images, generator, low, high)
    maps = _identities(factors)
    maps[:, 0, 0] = maps[:, 1, 1] = 1 / factors
    return maps


def resample(images: Tensor, maps: Tensor, *, interpolation: Interpolation = "nearest", fill: Brightness = 0) -> Tensor:
    """Look up what the maps show of the images, in one interpolation.

    Rotation, scale and translation composed in this order are torchvision's ``RandomAffine(degrees, translate,
    scale)``, whose interpolation is ``nearest`` unless told otherwise.

    Args:
        images: (B, C, H, W) uint8.
        maps: (B, 3, 3).
        interpolation: ``nearest`` takes the nearest pixel, ``bilinear`` blends four in two to three times the time.
        fill: Brightness of what lies outside of the image.

    Returns:
        (B, C, H, W) uint8.
    """
    batch, channels, height, width = images.shape
    across, down = _places(maps.to(images.device, torch.float32), height, width)
    if interpolation == "bilinear":
        grid = torch.stack([(2 * across + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1)
        # What lies outside counts as 0, and so the fill does for as long as it is taken off.
        looked_up = F.grid_sample(images.float().sub_(fill), grid, align_corners=False)
        return looked_up.add_(fill).round_().to(torch.uint8)
    # A rim of one pixel stands for all that lies outside. Gathering bytes so takes a third of grid_sample's time.
    rimmed = F.pad(images, (1, 1, 1, 1), value=fill).view(batch, channels, -1)
    column = across.round_().clamp_(-1, width)
    row = down.round_().clamp_(-1, height)
    index = column.add_(row, alpha=width + 2).add_(width + 3).long()
    return rimmed.gather(2, index.view(batch, 1, -1).expand(-1, channels, -1)).view(images.shape)


def _places(maps: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Columns and rows of the images, (B, H, W) each, that are seen at every pixel of the results."""
    x = torch.arange(width, device=maps.device) - (width - 1) / 2
    y = torch.arange(height, device=maps.device) - (height - 1) / 2
    along_x = maps[:, :2, :1] * x + maps[:, :2, 2:]
    along_y = maps[:, :2, 1:2] * y
    across = (along_x[:, 0, None, :] + (width - 1) / 2) + along_y[:, 0, :, None]
    down = (along_x[:, 1, None, :] + (height - 1) / 2) + along_y[:, 1, :, None]
    return across, down


def _uniform(images: Tensor, generator: Generator, low: float, high: float) -> Tensor:
    """One draw per image from ``low`` to ``high``, (B,) float64."""
    draws = torch.rand(len(images), generator=generator, device=generator.device)
    return draws.double() * (high - low) + low


def _identities(like: Tensor) -> Tensor:
    return torch.eye(3, dtype=like.dtype, device=like.device).repeat(len(like), 1, 1)
