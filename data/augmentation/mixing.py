"""Augmentations that mix normalized images and their labels, with an independent draw for each image.

Each image is mixed with the previous one in its batch, and the first with the last; batches are already shuffled.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le
from torch import Generator, Tensor

from data.placing import placed

Alpha = Annotated[float, Ge(0.01), Le(100)]


def mixup(images: Tensor, targets: Tensor, generator: Generator, *, alpha: Alpha = 0.2) -> tuple[Tensor, Tensor]:
    """Blend each image and its label with another: ``share * own + (1 - share) * other``.

    Zhang et al. 2018, arXiv 1710.09412, equation 1; like torchvision's ``MixUp``, but with one share per image instead
    of per batch.

    Args:
        images: (B, C, H, W) float32.
        targets: (B, classes) float32, the share of each class.
        generator: Used once per batch, for the seed of the shares.
        alpha: Shares are drawn from Beta(alpha, alpha); the smaller, the less images are mixed.

    Returns:
        Images and targets, of the same shapes.
    """
    shares = placed(_beta(len(images), alpha, generator).float(), images.device)
    mixed = torch.lerp(images.roll(1, 0), images, shares.view(-1, 1, 1, 1))
    return mixed, torch.lerp(targets.roll(1, 0), targets, shares.view(-1, 1))


def cutmix(images: Tensor, targets: Tensor, generator: Generator, *, alpha: Alpha = 1.0) -> tuple[Tensor, Tensor]:
    """Paste a box of another image into each image, and mix the labels by area.

    Yun et al. 2019, arXiv 1905.04899, section 3.1; like torchvision's ``CutMix``, but with one box per image instead of
    per batch. The box has the image's proportions and 1 - share of its area; its centre is anywhere in the image. Parts
    outside of the image are cut off and do not count in the label.

    Args:
        images: (B, C, H, W) float32.
        targets: (B, classes) float32, the share of each class.
        generator: Used for the seed of the shares, then twice per image: first for the rows and then for the columns
            of all centres.
        alpha: Shares are drawn from Beta(alpha, alpha).

    Returns:
        Images and targets, of the same shapes.
    """
    half = (1 - _beta(len(images), alpha, generator)).sqrt() / 2
    pasted = []
    for side in images.shape[2:]:
        centre = torch.randint(side, (len(images),), generator=generator, device=generator.device).cpu()
        reach = (half * side).long()
        places = torch.arange(side)
        pasted.append((places >= (centre - reach)[:, None]) & (places < (centre + reach)[:, None]))
    box = placed(pasted[0][:, :, None] & pasted[1][:, None, :], images.device)
    shares = 1 - box.float().mean((1, 2))
    # Exact for 0 and 1, and twice as fast as torch.where with a broadcast mask.
    mixed = torch.lerp(images, images.roll(1, 0), box[:, None].float())
    return mixed, torch.lerp(targets.roll(1, 0), targets, shares.view(-1, 1))


def _beta(count: int, alpha: float, generator: Generator) -> Tensor:
    """Draw from Beta(alpha, alpha), (count,) float64 on the CPU.

    NumPy's RandomState gives the same numbers in every version; torch's Beta distribution can only use the global
    generator.
    """
    seed = int(torch.randint(2**32, (), generator=generator, device=generator.device))
    return torch.from_numpy(np.random.RandomState(seed).beta(alpha, alpha, count))
