"""Corruptions: that they are what they are called, stronger each time, and the same images for every model."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image
from torch import Tensor

import data
from tune.evaluation.corruptions import CORRUPTIONS, measure


def images(n: int = 12, channels: int = 3, height: int = 32, width: int = 32) -> data.Resident:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, max(1, height // 4), max(1, width // 4), generator=generator)
    pixels = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").mul(255).byte()
    return data.Resident(pixels, torch.arange(n) % 3)


def corrupted(name: str, setting: float, pixels: Tensor, seed: int = 0) -> Tensor:
    return CORRUPTIONS[name].apply(pixels, setting, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_is_stronger(name: str, channels: int) -> None:
    pixels = images(channels=channels).images
    settings = CORRUPTIONS[name].settings
    changed = [corrupted(name, setting, pixels) for setting in settings]
    assert all(each.dtype == torch.uint8 and each.shape == pixels.shape for each in changed)
    distance = [(each.float() - pixels.float()).square().mean().item() for each in changed]
    assert len(settings) == 5
    assert distance == sorted(distance)
    assert 0 < distance[0] < distance[-1]


def test_each_is_what_it_is_called() -> None:
    pixels = images().images
    flat = torch.full((1, 1, 64, 64), 128, dtype=torch.uint8)
    noise = corrupted("noise", 0.1, flat).float() / 255
    assert noise.std().item() == pytest.approx(0.1, rel=0.05)
    assert noise.mean().item() == pytest.approx(128 / 255, abs=0.01)
    assert torch.equal(corrupted("blur", 1.0, flat), flat)
    half = corrupted("contrast", 0.5, pixels).float()
    assert half.std().item() == pytest.approx(0.5 * pixels.float().std().item(), rel=0.1)
    stream = io.BytesIO()
    Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save(stream, "jpeg", quality=50)
    by_pillow = torch.frombuffer(bytearray(Image.open(stream).tobytes()), dtype=torch.uint8).view(32, 32, 3)
    ours = corrupted("jpeg", 50, pixels)[0].permute(1, 2, 0)
    assert torch.equal(by_pillow, ours)


def test_every_model_is_given_the_same_images() -> None:
    def seen(draws: int) -> list[Tensor]:
        batches: list[Tensor] = []

        def classify(batch: Tensor) -> Tensor:
            torch.rand(draws)
            batches.append(batch)
            return batch.mean((1, 2, 3))[:, None].repeat(1, 3)

        measure(classify, images(5), 3, print)
        return batches

    first = seen(0)
    assert len(first) == 20
    assert all(torch.equal(one, other) for one, other in zip(first, seen(3), strict=True))


def test_rows_by_hand() -> None:
    """A model that always says class 0, which a third of the images have."""
    rows = measure(lambda batch: torch.tensor([[2.0, 0, 0]]).repeat(len(batch), 1), images(12), 3, print)
    assert [(row["corruption"], row["strength"]) for row in rows] == [
        (name, strength) for name in ("blur", "noise", "contrast", "jpeg") for strength in range(1, 6)
    ]
    right, wrong = torch.tensor([[2.0, 0, 0]]).log_softmax(1)[0, :2].tolist()
    for row in rows:
        assert row["accuracy"] == 4 / 12
        assert row["loss"] == pytest.approx(-(4 * right + 8 * wrong) / 12)
        assert row["accuracy_interval"][0] < 1 / 3 < row["accuracy_interval"][1]
    assert [row["setting"] for row in rows if row["corruption"] == "jpeg"] == [80, 65, 58, 50, 40]


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 1, 1), (1, 2, 5), (3, 96, 64)])
def test_images_of_every_size(channels: int, height: int, width: int) -> None:
    found = images(2, channels, height, width)
    rows = measure(lambda batch: batch.flatten(1)[:, :1].repeat(1, 3), found, 3, print)
    scale = max(1, height / 32)
    assert [row["setting"] for row in rows[:5]] == pytest.approx(
        [0.4 * scale, 0.6 * scale, 0.7 * scale, 0.8 * scale, scale]
    )
