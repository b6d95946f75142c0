"""Augmentations that move or erase pixels of uint8 images, with an independent draw for each image."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Generator, Tensor

from data.placing import placed

Probability = Annotated[float, Ge(0), Le(1)]
Brightness = Annotated[int, Ge(0), Le(255)]


def flip(images: Tensor, generator: Generator, *, p: Probability = 0.5) -> Tensor:
    """Mirror each image left to right with probability ``p``.

    Args:
        images: (B, C, H, W) uint8.
        generator: Used once per image.
        p: Probability per image.
    """
    return _mirrored(images, generator, p, dim=-1)


def vertical_flip(images: Tensor, generator: Generator, *, p: Probability = 0.5) -> Tensor:
    """Mirror each image top to bottom with probability ``p``; see ``flip``."""
    return _mirrored(images, generator, p, dim=-2)


def alternating_flip(images: Tensor, places: Tensor, epoch: int, seed: int) -> Tensor:
    """Mirror each image left to right in every other epoch; whether in the odd ones or the even ones is random.

    So in any two epochs that follow each other, a network sees both sides of every image (Jordan 2024,
    https://arxiv.org/abs/2404.00498, section 3.6).

    Args:
        images: (B, C, H, W) uint8.
        places: The images' places among those trained on, (B,) int64 on the same device.
        epoch: Counted from 1.
        seed: Decides, with its place, in which epochs an image is mirrored.
    """
    chosen = (first_flips(places, seed) + epoch - 1) % 2 * len(images)
    both = torch.cat([images, images.flip(-1)])
    return both.index_select(0, chosen + torch.arange(len(images), device=images.device))


def first_flips(places: Tensor, seed: int) -> Tensor:
    """1 or 0 with equal probability for each place and seed, (B,) int64: a bit of their hash, on any device.

    The hash is the mixing function of SplitMix64 (Steele et al. 2014), with 64 bits that wrap around.
    """
    mixed = places * -7046029254386353131 + seed
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        mixed = (mixed ^ (mixed >> shift & (1 << 64 - shift) - 1)) * factor
    return (mixed >> 40) & 1


def _mirrored(images: Tensor, generator: Generator, p: float, dim: int) -> Tensor:
    draws = torch.rand(len(images), generator=generator, device=generator.device)
    # Mirroring all images and selecting is three times as fast as mirroring and copying only those drawn.
    both = torch.cat([images, images.flip(dim)])
    chosen = (draws < p).long() * len(images) + torch.arange(len(images), device=draws.device)
    return both.index_select(0, placed(chosen, images.device))


def crop(
    images: Tensor,
    generator: Generator,
    *,
    padding: Annotated[int, Ge(0), Le(4_096)] = 4,
    fill: Brightness = 0,
    mode: Literal["constant", "reflect"] = "constant",
) -> Tensor:
    """Pad every side, then crop to the original size at a random position.

    The same as torchvision's ``RandomCrop(size, padding=padding, fill=fill, padding_mode=mode)``.

    Args:
        images: (B, C, H, W) uint8.
        generator: Used twice per image, first for all vertical and then for all horizontal offsets.
        padding: Pixels added to every side.
        fill: Brightness of the padding for ``constant``.
        mode: ``constant`` pads with one brightness, ``reflect`` with the image mirrored at its outermost pixels,
            repeatedly if necessary.
    """
    batch, channels, height, width = images.shape
    draws = torch.randint(2 * padding + 1, (2, batch), generator=generator, device=generator.device)
    down, across = placed(draws, images.device).view(2, -1, 1, 1)
    padded = _reflected(images, padding) if mode == "reflect" else F.pad(images, (padding,) * 4, value=fill)
    padded = padded.contiguous()
    # This view has a row for every run of `width` pixels in memory, and each row of the result is such a run. Copying
    # runs is three times as fast as indexing windows by image, and ten times as fast as a loop over images.
    runs = padded.view(-1).unfold(0, width, 1)
    step, device = padded.stride(), images.device
    first = torch.arange(batch, device=device).view(-1, 1, 1) * step[0] + down * step[2] + across
    offsets = (
        torch.arange(channels, device=device).view(-1, 1) * step[1] + torch.arange(height, device=device) * step[2]
    )
    return runs.index_select(0, (first + offsets).flatten()).view(images.shape)


def _reflected(images: Tensor, padding: int) -> Tensor:
    """Pad like ``numpy.pad(mode="reflect")``; torch's own supports neither bytes nor padding as wide as the image."""
    for dim in (2, 3):
        last = images.shape[dim] - 1
        places = torch.arange(-padding, last + 1 + padding, device=images.device)
        images = images.index_select(dim, last - (places % max(2 * last, 1) - last).abs())
    return images


def cutout(
    images: Tensor, generator: Generator, *, size: Annotated[int, Ge(1), Le(65_536)] = 16, fill: Brightness = 127
) -> Tensor:
    """Erase a square of each image; its centre is anywhere in the image, and parts outside are cut off.

    DeVries and Taylor 2017, arXiv 1708.04552. The square there is zero after normalization; the default fill is close
    to that if images are normalized by ``half``. Published sizes are 16 for CIFAR-10 and 8 for CIFAR-100.

    Args:
        images: (B, C, H, W) uint8.
        generator: Used twice per image, first for the rows and then for the columns of all centres.
        size: Side in pixels. For an even side, the centre is the pixel right of and below the middle.
        fill: Brightness of the square in every channel.
    """
    hidden = []
    for side in images.shape[2:]:
        centre = torch.randint(side, (len(images), 1), generator=generator, device=generator.device)
        start = placed(centre - size // 2, images.device)
        places = torch.arange(side, device=images.device)
        hidden.append((places >= start) & (places < start + size))
    rows, columns = hidden
    blank = (rows[:, None, :, None] & columns[:, None, None, :]).to(torch.uint8)
    return (images * (1 - blank)).add_(blank * fill)  # more than twice as fast as masked_fill
