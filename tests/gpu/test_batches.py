"""Batches made on a GPU equal those of the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from data import Resident, augmentation, build_augment

CHANCE = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (50, 3, 17, 20), dtype=torch.uint8, generator=CHANCE)
LABELS = torch.arange(50) % 25
SPECS: list[Any] = [
    *([name] for name in augmentation.names()),
    {"rotation": {"interpolation": "bilinear"}},
    {"crop": {"mode": "reflect"}},
    ["rotation", "translation", "scale"],
    ["flip", "crop", "jitter", "cutout", "mixup", "cutmix"],
]


def served(resident: Resident, size: int, spec: Any) -> tuple[Tensor, Tensor]:
    batches = resident.batches(size, generator=torch.Generator().manual_seed(1), augment=build_augment(spec))
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_gpu_augments_as_the_cpu_does(spec: Any) -> None:
    """But for places half-way between pixels, and bytes half-way between levels."""
    resident = Resident(IMAGES, LABELS, classes=25)
    here, there = served(resident, 20, spec), served(resident.to("cuda"), 20, spec)
    assert there[0].device.type == there[1].device.type == "cuda"
    assert torch.allclose(there[1].cpu(), here[1])
    assert ((there[0].cpu() - here[0]).abs() > 0.005).float().mean() < 0.01


def test_a_gpu_serves_what_the_cpu_serves() -> None:
    resident, augment = Resident(IMAGES, LABELS, torch.arange(5, 25)), ["flip", "crop"]
    moved = resident.to("cuda")
    assert moved.images.cpu().equal(IMAGES[5:25])
    here, there = served(resident, 6, augment), served(moved, 6, augment)
    assert there[1].cpu().equal(here[1])
    assert torch.allclose(there[0].cpu(), here[0])
