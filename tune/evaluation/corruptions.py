"""A classifier's accuracy on corrupted images: blur, noise, contrast and JPEG at five strengths.

The strengths are those of CIFAR-10-C (Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261); the images are
corrupted by torchvision, so that the results are comparable with each other, not with that benchmark's. Every model is
given the same corrupted images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional

import data
from data.values import Progress
from tune.evaluation.inference import batch_size
from tune.evaluation.scores import accuracy_interval
from tune.training import seeded

SEED = 0
_SIDE = 32  # pixels: blurs are those of CIFAR-10-C for images up to this side, and grow with larger ones


@dataclass(frozen=True)
class Corruption:
    """One way to corrupt images.

    Attributes:
        settings: From the weakest to the strongest.
        apply: Of (B, C, H, W) uint8 images, with a setting and a generator of random numbers.
    """

    settings: tuple[float, ...]
    apply: Callable[[Tensor, float, Generator], Tensor]


def _blur(images: Tensor, sigma: float, generator: Generator) -> Tensor:
    # Three deviations to each side; reflection at the border allows no more than the image has pixels.
    kernel = [2 * min(max(1, round(3 * sigma)), side - 1) + 1 for side in (images.shape[3], images.shape[2])]
    return functional.gaussian_blur(images, kernel, [sigma, sigma])  # type: ignore[no-any-return]


def _noise(images: Tensor, sigma: float, generator: Generator) -> Tensor:
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with seeded(seed, images.device):  # torchvision draws from torch's global generator
        return functional.gaussian_noise(images, sigma=sigma)  # type: ignore[no-any-return]


def _contrast(images: Tensor, factor: float, generator: Generator) -> Tensor:
    return functional.adjust_contrast(images, factor)  # type: ignore[no-any-return]


def _jpeg(images: Tensor, quality: float, generator: Generator) -> Tensor:
    # As Pillow's images: torchvision's own JPEG files of tensors are deprecated.
    files = (functional.jpeg(functional.to_pil_image(image), int(quality)) for image in images)
    return torch.stack([functional.pil_to_tensor(file) for file in files])


CORRUPTIONS = {
    "blur": Corruption((0.4, 0.6, 0.7, 0.8, 1.0), _blur),  # standard deviation in pixels
    "noise": Corruption((0.04, 0.06, 0.08, 0.09, 0.10), _noise),  # standard deviation, of pixels 0-1
    "contrast": Corruption((0.75, 0.5, 0.4, 0.3, 0.15), _contrast),  # share that is left
    "jpeg": Corruption((80, 65, 58, 50, 40), _jpeg),  # quality
}
"""By name."""


def measure(
    classify: Callable[[Tensor], Tensor], images: data.Resident, classes: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Accuracy and loss under every corruption.

    Args:
        classify: From normalized images (B, C, H, W) to logits (B, classes).
        images: On the CPU, kept as uint8.
        classes: Their number.
        say: Called with a line about the progress.

    Returns:
        A row for each corruption and strength (1 to 5): corruption, strength, setting, accuracy, accuracy_interval,
        loss.
    """
    scale = max(1.0, max(images.images.shape[2:]) / _SIDE)
    strengths = max(len(corruption.settings) for corruption in CORRUPTIONS.values())
    progress = Progress("corrupted and evaluated", strengths * len(CORRUPTIONS) * len(images), say)
    rows = []
    for name, corruption in CORRUPTIONS.items():
        for strength, setting in enumerate(corruption.settings, start=1):
            setting = setting * scale if name == "blur" else setting
            right, loss = 0, 0.0
            for batch, labels in _corrupted(images, corruption, setting, batch_size(images, classes)):
                logits = classify(batch).double()
                right += int((logits.argmax(1) == labels).sum())
                loss += F.cross_entropy(logits, labels, reduction="sum").item()
                progress.advance(len(labels))
            rows.append(
                {
                    "corruption": name,
                    "strength": strength,
                    "setting": setting,
                    "accuracy": right / len(images),
                    "accuracy_interval": accuracy_interval(right, len(images)),
                    "loss": loss / len(images),
                }
            )
    return rows


def _corrupted(
    images: data.Resident, corruption: Corruption, setting: float, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    def corrupt(pixels: Tensor, generator: Generator) -> Tensor:
        return corruption.apply(pixels, setting, generator)

    return images.batches(size, generator=torch.Generator().manual_seed(SEED), augment=corrupt)
