"""Normalization of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from data.errors import unknown

NormalizationName = Literal["half", "dataset", "none"]
_CHUNK_IMAGES = 4096
_LEVELS = 256


@dataclass(frozen=True)
class Normalization:
    """``(pixel / 255 - mean) / std`` per channel, where mean and std are in units of the pixel range 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def pixels(self, images: Tensor) -> Tensor:
        """Convert normalized images (B, C, H, W) back to uint8 pixels, clipped to 0..255."""
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=images.device).view(-1, 1, 1)
            for values in (self.mean, self.std)
        )
        return (images.float() * std + mean).mul(255).round().clamp(0, 255).to(torch.uint8)


def normalization(name: str, images: Tensor, index: Tensor | None = None) -> Normalization:
    """The normalization with a given name.

    Args:
        name: ``half`` (mean and standard deviation .5, for a range of -1..1), ``dataset`` (measured over the given
            images), or ``none`` (a range of 0..1).
        images: (N, C, H, W) uint8.
        index: Positions of the images to measure, (n,) int64; None for all. Used by ``dataset`` only.

    Raises:
        DataError: The name is another one.
    """
    if name not in get_args(NormalizationName):
        raise unknown("normalization", name, get_args(NormalizationName))
    channels = images.shape[1]
    if name == "half":
        return Normalization((0.5,) * channels, (0.5,) * channels)
    if name == "none":
        return Normalization((0.0,) * channels, (1.0,) * channels)
    mean, std = channel_moments(images, index)
    # A constant channel is only shifted, since its standard deviation is 0.
    return Normalization(mean, tuple(value or 1.0 for value in std))


def channel_moments(images: Tensor, index: Tensor | None = None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation of each channel, computed exactly from counts of the 256 levels.

    Args:
        images: (N, C, H, W) uint8, N at least 1.
        index: Positions to use, (n,) int64; None for all.

    Returns:
        Mean and standard deviation per channel, pixels in 0..1.
    """
    counts = torch.zeros(images.shape[1], _LEVELS, dtype=torch.int64)
    total = len(images) if index is None else len(index)
    for start in range(0, total, _CHUNK_IMAGES):
        stop = start + _CHUNK_IMAGES
        chunk = images[start:stop] if index is None else images.index_select(0, index[start:stop])
        for channel, count in enumerate(counts):
            count += torch.bincount(chunk[:, channel].flatten(), minlength=_LEVELS)
    levels = torch.arange(_LEVELS, dtype=torch.float64) / (_LEVELS - 1)
    weights = counts.double() / counts.sum(1, keepdim=True)
    mean = weights @ levels
    std = (weights * (levels - mean[:, None]) ** 2).sum(1).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())
