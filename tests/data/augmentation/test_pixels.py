"""Flips, crops and cutout against a plain reference, image by image, on the same draws."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from data.augmentation.pixels import alternating_flip, crop, cutout, first_flips, flip, vertical_flip

sizes = st.integers(1, 9)
channels = st.integers(1, 4)
seeds = st.integers(0, 99)


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(0))


def flip_one_by_one(images: Tensor, generator: Generator, p: float, dim: int) -> Tensor:
    draws = torch.rand(len(images), generator=generator).tolist()
    return torch.stack([image.flip(dim) if draw < p else image for image, draw in zip(images, draws, strict=True)])


def crop_one_by_one(images: Tensor, generator: Generator, padding: int, fill: int, mode: str) -> Tensor:
    height, width = images.shape[-2:]
    draws = torch.randint(2 * padding + 1, (2, len(images)), generator=generator)
    out = []
    for image, (y, x) in zip(images, draws.T.tolist(), strict=True):
        wide = ((0, 0), (padding, padding), (padding, padding))
        if mode == "reflect":
            padded = torch.from_numpy(np.pad(image.numpy(), wide, mode="reflect"))
        else:
            padded = F.pad(image, (padding,) * 4, value=fill)
        out.append(padded[:, y : y + height, x : x + width])
    return torch.stack(out)


@given(sizes, channels, sizes, sizes, st.floats(0, 1), seeds)
def test_flip_is_each_image_mirrored_or_not(b: int, c: int, h: int, w: int, p: float, seed: int) -> None:
    images = pictures(b, c, h, w)
    assert flip(images, seeded(seed), p=p).equal(flip_one_by_one(images, seeded(seed), p, -1))
    assert vertical_flip(images, seeded(seed), p=p).equal(flip_one_by_one(images, seeded(seed), p, -2))


@given(sizes, channels, sizes, sizes, st.integers(0, 6), st.sampled_from([0, 77, 255]), st.booleans(), seeds)
def test_crop_is_each_image_cut_from_its_padded_self(
    b: int, c: int, h: int, w: int, padding: int, fill: int, reflect: bool, seed: int
) -> None:
    images, mode = pictures(b, c, h, w), "reflect" if reflect else "constant"
    cut = crop(images, seeded(seed), padding=padding, fill=fill, mode=mode)  # type: ignore[arg-type]
    assert cut.equal(crop_one_by_one(images, seeded(seed), padding, fill, mode))


def test_flip_and_crop_move_about_as_often_as_they_should() -> None:
    images = pictures(4000, 1, 2, 12)
    mirrored = (flip(images, seeded(0)) != images).flatten(1).any(1).float().mean()
    assert abs(float(mirrored) - 0.5) < 0.03
    one = torch.zeros(4000, 1, 9, 9, dtype=torch.uint8)
    one[:, :, 4, 4] = 1
    places = crop(one, seeded(0), padding=4).sum(0)[0]
    assert places.sum() == 4000
    assert places.min() > 20  # 81 places, 49 expected at each.


@given(sizes, channels, sizes, sizes, st.integers(1, 20), st.integers(0, 255), seeds)
def test_cutout_is_a_square_around_a_pixel_of_each_image(
    b: int, c: int, h: int, w: int, size: int, fill: int, seed: int
) -> None:
    images, generator = pictures(b, c, h, w), seeded(seed)
    rows, columns = (torch.randint(side, (b,), generator=generator).tolist() for side in (h, w))
    expected = images.clone()
    for image, y, x in zip(expected, rows, columns, strict=True):
        top, left = y - size // 2, x - size // 2
        image[:, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = fill
    assert cutout(images, seeded(seed), size=size, fill=fill).equal(expected)


def test_cutout_takes_as_many_pixels_as_the_papers_even_sides() -> None:
    """`y1 = clip(y - size // 2)`, `y2 = clip(y + size // 2)` in the code of DeVries and Taylor."""
    white = torch.full((2000, 1, 32, 32), 255, dtype=torch.uint8)
    taken = (cutout(white, seeded(0), size=16, fill=0) == 0).sum((1, 2, 3))
    assert (int(taken.min()), int(taken.max())) == (64, 256)  # in a corner a quarter, else the whole
    clipped = [len(range(max(centre - 8, 0), min(centre + 8, 32))) for centre in range(32)]
    assert abs(float(taken.float().mean()) - (sum(clipped) / 32) ** 2) < 4


def splitmix_bit(place: int, seed: int) -> int:
    """Bit 40 of SplitMix64, as published, in whole numbers without a sign."""
    wrap = 2**64
    mixed = (place * 0x9E3779B97F4A7C15 + seed) % wrap
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> shift)) * factor % wrap
    return mixed >> 40 & 1


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=9), st.integers(0, 2**63 - 1))
def test_first_flips_are_a_bit_of_splitmix(places: list[int], seed: int) -> None:
    assert first_flips(torch.tensor(places), seed).tolist() == [splitmix_bit(place, seed) for place in places]


def test_first_flips_are_even_and_independent_of_the_place_and_the_seed() -> None:
    draws = torch.stack([first_flips(torch.arange(40_000), seed) for seed in range(4)]).double()
    assert (draws.mean(1) - 0.5).abs().max() < 0.01
    neighbours = torch.cat([draws[:, :-1], draws[:1, 1:]])
    assert (torch.corrcoef(neighbours) - torch.eye(5)).abs().max() < 0.02


@given(sizes, channels, sizes, sizes, st.integers(1, 9), seeds)
def test_an_alternating_flip_is_every_image_mirrored_in_every_other_epoch(
    b: int, c: int, h: int, w: int, epoch: int, seed: int
) -> None:
    images, places = pictures(b, c, h, w), torch.arange(b) * 3
    expected = [
        image.flip(-1) if (splitmix_bit(3 * k, seed) + epoch) % 2 == 0 else image for k, image in enumerate(images)
    ]
    assert alternating_flip(images, places, epoch, seed).equal(torch.stack(expected))
    assert alternating_flip(images, places, epoch + 1, seed).equal(torch.stack([image.flip(-1) for image in expected]))
