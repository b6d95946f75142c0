"""Colour jitter of uint8 images, with an independent draw for each image."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Generator, Tensor

from data.placing import placed

Strength = Annotated[float, Ge(0), Le(1)]

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, as torchvision and Pillow weigh red, green and blue


def jitter(
    images: Tensor,
    generator: Generator,
    *,
    brightness: Strength = 0.4,
    contrast: Strength = 0.4,
    saturation: Strength = 0.4,
    hue: Annotated[float, Ge(0), Le(0.5)] = 0.1,
) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image.

    The same as torchvision's ``ColorJitter`` on float images, except that the order of the four is drawn once per batch
    instead of per image. Values are clipped after each of the four and rounded once, at the end. Saturation and hue
    only change RGB images.

    Args:
        images: (B, C, H, W) uint8.
        generator: Used for the order (a permutation of four), then four times per image: first for the brightness of
            all images, then contrast, saturation and hue, even if their strength is 0.
        brightness: Pixels are multiplied by 1 plus or minus at most this.
        contrast: Distances from the image's mean grey are multiplied by 1 plus or minus at most this.
        saturation: Distances from the pixel's own grey are multiplied by 1 plus or minus at most this.
        hue: The hue is shifted by at most this fraction of the colour circle.
    """
    device = generator.device
    order = torch.randperm(4, generator=generator, device=device).tolist()
    strengths = (brightness, contrast, saturation, hue)
    draws = torch.rand(4, len(images), generator=generator, device=device) * 2 - 1
    shifts = placed(draws * torch.tensor(strengths, device=device)[:, None], images.device).view(4, -1, 1, 1, 1)
    changes = (_brighten, _contrast, _saturate, _turn_hue)
    pixels = images.float()
    for chosen in order:
        if strengths[chosen] > 0 and (chosen < 2 or images.shape[1] == len(_LUMA)):
            pixels = changes[chosen](pixels, shifts[chosen])
    return pixels.round_().to(torch.uint8)


def _brighten(pixels: Tensor, shift: Tensor) -> Tensor:
    return pixels.mul_(1 + shift).clamp_(0, 255)


def _contrast(pixels: Tensor, shift: Tensor) -> Tensor:
    mean = _grey(pixels).mean((1, 2, 3), keepdim=True)
    return pixels.mul_(1 + shift).sub_(mean * shift).clamp_(0, 255)


def _saturate(pixels: Tensor, shift: Tensor) -> Tensor:
    grey = _grey(pixels).mul_(shift)
    return pixels.mul_(1 + shift).sub_(grey).clamp_(0, 255)


def _grey(pixels: Tensor) -> Tensor:
    """Luma of RGB images, (B, 1, H, W); other images are returned as they are."""
    if pixels.shape[1] != len(_LUMA):
        return pixels
    red, green, blue = pixels.unsqueeze(2).unbind(1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def _turn_hue(pixels: Tensor, shift: Tensor) -> Tensor:
    """Convert RGB to HSV, shift the hue, and convert back.

    With the hue in sixths of a turn, a channel is V - chroma * f(n + hue), where f(k) = max(0, min(k, 4 - k, 1)) for k
    modulo 6, and n is 5, 3, 1 for red, green, blue (the usual closed form).
    """
    red, green, blue = pixels.unsqueeze(2).unbind(1)
    largest = torch.maximum(torch.maximum(red, green), blue)
    chroma = largest - torch.minimum(torch.minimum(red, green), blue)
    per_chroma = 1 / chroma.clamp(min=torch.finfo(torch.float32).tiny)
    around_blue = 4 + (red - green) * per_chroma
    around_green = 2 + (blue - red) * per_chroma
    around_red = (green - blue) * per_chroma
    hue = torch.where(largest == red, around_red, torch.where(largest == green, around_green, around_blue))
    hue = torch.where(chroma > 0, hue, 0).add_(6 * shift)
    turned = hue + torch.arange(5.0, 0.0, -2.0, device=pixels.device).view(-1, 1, 1)
    turned.sub_((turned / 6).floor_(), alpha=6)  # modulo 6, four times as fast as remainder
    return largest - torch.minimum(turned, 4 - turned).clamp_(0, 1).mul_(chroma)
