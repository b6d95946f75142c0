"""Jitter against torchvision's functions of one float image, on the same draws."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as tv

from data.augmentation.jitter import jitter

strengths = st.sampled_from([0.0, 0.3, 1.0])
NONE = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(0))


def jitter_one_by_one(images: Tensor, generator: Generator, chosen: list[float]) -> Tensor:
    order = torch.randperm(4, generator=generator).tolist()
    draws = (torch.rand(4, len(images), generator=generator) * 2 - 1).T.tolist()
    out = []
    for image, shifts in zip(images, draws, strict=True):
        pixels = image.float() / 255
        for one in order:
            shift = shifts[one] * chosen[one]
            if one == 0:
                pixels = tv.adjust_brightness(pixels, 1 + shift)
            elif one == 1:
                pixels = tv.adjust_contrast(pixels, 1 + shift)
            elif one == 2:
                pixels = tv.adjust_saturation(pixels, 1 + shift)
            else:
                pixels = tv.adjust_hue(pixels, shift)
        out.append((pixels * 255).round().to(torch.uint8))
    return torch.stack(out)


@given(
    st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9),
    *[strengths] * 3, st.sampled_from([0.0, 0.1, 0.5]), st.integers(0, 99),
)  # fmt: skip
def test_jitter_is_torchvisions(
    b: int, c: int, h: int, w: int, brightness: float, contrast: float, saturation: float, hue: float, seed: int
) -> None:
    images = pictures(b, c, h, w)
    chosen = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    changed = jitter(images, seeded(seed), **chosen)
    expected = jitter_one_by_one(images, seeded(seed), list(chosen.values()))
    assert (changed.int() - expected.int()).abs().max() <= 1
    assert (changed != expected).float().mean() <= 0.01 + 1 / images.numel()


def test_one_that_is_not_rgb_has_neither_saturation_nor_hue() -> None:
    for channels in (1, 2, 4):
        images = pictures(5, channels, 6, 6)
        assert jitter(images, seeded(0), brightness=0, contrast=0, saturation=1, hue=0.5).equal(images)
        assert not jitter(images, seeded(0), **{**NONE, "contrast": 1.0}).equal(images)


@pytest.mark.parametrize("name", NONE)
def test_a_grey_picture_stays_grey(name: str) -> None:
    grey = pictures(6, 1, 8, 8).expand(-1, 3, -1, -1).contiguous()
    changed = jitter(grey, seeded(1), **{**NONE, name: 0.5})
    assert (changed.amax(1).int() - changed.amin(1).int()).max() <= 1
    assert changed.equal(grey) is (name in ("saturation", "hue"))


def test_hue_turns_red_into_the_other_colours() -> None:
    red = torch.tensor([200, 20, 20], dtype=torch.uint8).view(1, 3, 1, 1).expand(500, 3, 1, 1)
    colours = jitter(red, seeded(0), **{**NONE, "hue": 0.5}).flatten(1)
    assert set(colours.amax(1).tolist()) == {200}
    assert set(colours.amin(1).tolist()) == {20}
    assert set(colours.argmax(1).tolist()) == {0, 1, 2}


def test_the_order_of_the_four_changes_from_batch_to_batch() -> None:
    orders = {tuple(torch.randperm(4, generator=seeded(seed)).tolist()) for seed in range(40)}
    assert len(orders) > 10
    images, generator = pictures(3, 3, 4, 4), seeded(0)
    assert not jitter(images, generator).equal(jitter(images, generator))
