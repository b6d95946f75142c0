"""Rotation, translation and scale against torchvision's `affine` of each image, on the same draws."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from data import build_augment

FIXED = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
sizes = st.integers(1, 12)
seeds = st.integers(0, 99)
Interpolations = st.sampled_from(["nearest", "bilinear"])


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(0))


def within(generator: Generator, count: int, low: float, high: float) -> list[float]:
    return (torch.rand(count, generator=generator).double() * (high - low) + low).tolist()


def by_torchvision(image: Tensor, interpolation: str, fill: int, **chosen: Any) -> Tensor:
    """One image; the fill by taking it off first, since torchvision's own is blended in twice where bilinear."""
    signed = image.float() - fill
    turned = tv.affine(signed, **{**FIXED, **chosen}, interpolation=InterpolationMode(interpolation))
    seen: Tensor = (turned + fill).round().to(torch.uint8)
    return seen


def assert_same(ours: Tensor, expected: list[Tensor]) -> None:
    """But for places exactly between two pixels, which rounding may send either way."""
    distance = (ours.int() - torch.stack(expected).int()).abs()
    assert (distance > 1).float().mean() <= 0.002 + 1 / distance.numel()
    assert (distance > 0).float().mean() <= 0.02 + 1 / distance.numel()


@given(sizes, st.integers(1, 4), sizes, sizes, st.floats(0, 180), Interpolations, st.sampled_from([0, 99]), seeds)
def test_rotation(b: int, c: int, h: int, w: int, degrees: float, interpolation: str, fill: int, seed: int) -> None:
    images = pictures(b, c, h, w)
    options = {"degrees": degrees, "interpolation": interpolation, "fill": fill}
    angles = within(seeded(seed), b, -degrees, degrees)
    expected = [by_torchvision(x, interpolation, fill, angle=angle) for x, angle in zip(images, angles, strict=True)]
    assert_same(build_augment({"rotation": options})(images, seeded(seed)), expected)


@given(sizes, st.integers(1, 4), sizes, sizes, st.floats(0, 1), Interpolations, st.sampled_from([0, 99]), seeds)
def test_translation_is_exact(
    b: int, c: int, h: int, w: int, fraction: float, interpolation: str, fill: int, seed: int
) -> None:
    images, generator = pictures(b, c, h, w), seeded(seed)
    down = [round(value) for value in within(generator, b, -fraction * h, fraction * h)]
    across = [round(value) for value in within(generator, b, -fraction * w, fraction * w)]
    expected = torch.full_like(images, fill)
    for out, image, y, x in zip(expected, images, down, across, strict=True):
        kept = image[:, max(-y, 0) : h - max(y, 0), max(-x, 0) : w - max(x, 0)]
        out[:, max(y, 0) : max(y, 0) + kept.shape[1], max(x, 0) : max(x, 0) + kept.shape[2]] = kept
    options = {"fraction": fraction, "interpolation": interpolation, "fill": fill}
    assert build_augment({"translation": options})(images, seeded(seed)).equal(expected)


@given(sizes, st.integers(1, 4), sizes, sizes, st.floats(0.1, 1), st.floats(1, 10), Interpolations, seeds)
def test_scale(b: int, c: int, h: int, w: int, low: float, high: float, interpolation: str, seed: int) -> None:
    images = pictures(b, c, h, w)
    options = {"low": low, "high": high, "interpolation": interpolation}
    factors = within(seeded(seed), b, low, high)
    expected = [by_torchvision(x, interpolation, 0, scale=factor) for x, factor in zip(images, factors, strict=True)]
    assert_same(build_augment({"scale": options})(images, seeded(seed)), expected)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape", [(60, 1, 28, 28), (40, 3, 32, 32), (20, 3, 17, 30)])
def test_named_together_they_are_one_random_affine(shape: tuple[int, ...], interpolation: str) -> None:
    (count, _, height, width), images, generator = shape, pictures(*shape), seeded(4)
    angles = within(generator, count, -15, 15)
    factors = within(generator, count, 0.8, 1.2)
    down = [round(value) for value in within(generator, count, -0.1 * height, 0.1 * height)]
    across = [round(value) for value in within(generator, count, -0.1 * width, 0.1 * width)]
    expected = [
        by_torchvision(x, interpolation, 0, angle=angle, scale=factor, translate=list(shift))
        for x, angle, factor, shift in zip(images, angles, factors, zip(across, down, strict=True), strict=True)
    ]
    how = {"interpolation": interpolation}
    together = build_augment({"rotation": how, "scale": {"low": 0.8, "high": 1.2, **how}, "translation": how})
    assert_same(together(images, seeded(4)), expected)


def test_the_order_named_is_the_order_applied() -> None:
    """A point shifted and then turned by 180 degrees ends where one turned and shifted does not."""
    point = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    point[0, 0, 4, 4] = 255
    generator = seeded(5)
    down, across = (round(within(generator, 1, -4.5, 4.5)[0]) for _ in range(2))
    angle = math.radians(within(generator, 1, -180, 180)[0])
    moved = build_augment({"translation": {"fraction": 0.5}, "rotation": {"degrees": 180}})(point, seeded(5))
    x = 4 + math.cos(angle) * across - math.sin(angle) * down
    y = 4 + math.sin(angle) * across + math.cos(angle) * down
    assert max(abs(down), abs(across)) >= 2
    assert moved[0, 0, round(y), round(x)] == 255


def test_they_are_interpolated_once_unless_they_ask_for_different_things() -> None:
    smooth = torch.arange(0, 256, 8, dtype=torch.uint8).expand(8, 1, 32, 32).contiguous()
    how = {"interpolation": "bilinear", "fill": 10}
    turned = build_augment({"rotation": how})(smooth, seeded(0))
    apart = build_augment({"rotation": how, "translation": {"fraction": 0}})(smooth, seeded(0))
    assert apart.equal(turned)  # the second by nearest and by nothing
    between = build_augment({"rotation": {"degrees": 30}, "flip": {"p": 0}, "scale": None})(smooth, seeded(0))
    generator = seeded(0)
    one = build_augment({"rotation": {"degrees": 30}})(smooth, generator)
    torch.rand(8, generator=generator)  # of the flip
    assert between.equal(build_augment(["scale"])(one, generator))


def test_nothing_asked_for_is_nothing_done() -> None:
    images = pictures(9, 3, 7, 8)
    nothing: dict[str, Any] = {
        "rotation": {"degrees": 0},
        "scale": {"low": 1, "high": 1},
        "translation": {"fraction": 0},
    }
    for interpolation in ("nearest", "bilinear"):
        spec = {name: {**options, "interpolation": interpolation} for name, options in nothing.items()}
        assert build_augment(spec)(images, seeded(0)).equal(images)
