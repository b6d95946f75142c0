"""Augmentations against a plain per-image reference that uses the same draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from data import DataError, augment, build_augment

sizes = st.integers(1, 9)


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(0))


def flip_one_by_one(images: Tensor, generator: Generator, p: float) -> Tensor:
    draws = torch.rand(len(images), generator=generator).tolist()
    return torch.stack([image.flip(-1) if draw < p else image for image, draw in zip(images, draws, strict=True)])


def crop_one_by_one(images: Tensor, generator: Generator, padding: int, fill: int) -> Tensor:
    height, width = images.shape[-2:]
    draws = torch.randint(2 * padding + 1, (2, len(images)), generator=generator)
    out = []
    for image, (y, x) in zip(images, draws.T.tolist(), strict=True):
        out.append(F.pad(image, (padding,) * 4, value=fill)[:, y : y + height, x : x + width])
    return torch.stack(out)


@given(sizes, st.integers(1, 4), sizes, sizes, st.floats(0, 1), st.integers(0, 99))
def test_flip_is_each_image_mirrored_or_not(b: int, c: int, h: int, w: int, p: float, seed: int) -> None:
    images = pictures(b, c, h, w)
    assert augment.flip(images, seeded(seed), p=p).equal(flip_one_by_one(images, seeded(seed), p))


@given(sizes, st.integers(1, 4), sizes, sizes, st.integers(0, 6), st.sampled_from([0, 77, 255]), st.integers(0, 99))
def test_crop_is_each_image_cut_from_its_padded_self(
    b: int, c: int, h: int, w: int, padding: int, fill: int, seed: int
) -> None:
    images = pictures(b, c, h, w)
    cut = augment.crop(images, seeded(seed), padding=padding, fill=fill)
    assert cut.equal(crop_one_by_one(images, seeded(seed), padding, fill))


def test_crop_does_not_mind_how_images_lie_in_memory() -> None:
    images = pictures(6, 3, 8, 8)
    lying = images.to(memory_format=torch.channels_last)
    assert augment.crop(lying, seeded(1)).equal(augment.crop(images, seeded(1)))


def test_flip_and_crop_move_about_as_often_as_they_should() -> None:
    images = pictures(4000, 1, 2, 12)
    mirrored = (augment.flip(images, seeded(0)) != images).flatten(1).any(1).float().mean()
    assert abs(float(mirrored) - 0.5) < 0.03
    one = torch.zeros(4000, 1, 9, 9, dtype=torch.uint8)
    one[:, :, 4, 4] = 1
    places = augment.crop(one, seeded(0), padding=4).sum(0)[0]
    assert places.sum() == 4000
    assert places.min() > 20  # 81 places, 49 expected at each.


@pytest.mark.parametrize("name", augment.names())
def test_every_augmentation_keeps_shape_type_and_its_input(name: str) -> None:
    images = pictures(5, 3, 7, 6)
    before = images.clone()
    changed = build_augment([name])(images, seeded(3))
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
    assert images.equal(before)
    assert build_augment([name])(images, seeded(3)).equal(changed)
    assert augment.get(name).summary


def test_options_come_from_the_functions() -> None:
    assert augment.names() == ["flip", "crop"]
    assert {name: option.default for name, option in augment.options("crop").items()} == {"padding": 4, "fill": 0}
    assert list(augment.options("flip")) == ["p"]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (None, "none"),
        ([], "none"),
        ({}, "none"),
        (["flip", "crop"], "flip(p=0.5), crop(padding=4, fill=0)"),
        ({"crop": {"padding": 2}, "flip": None}, "crop(padding=2, fill=0), flip(p=0.5)"),
        ({"flip": {"p": 1}}, "flip(p=1)"),
    ],
)
def test_a_description_of_augmentations_is_read(spec: Any, text: str) -> None:
    assert augment.describe(spec) == text


def test_no_augmentation_changes_nothing() -> None:
    images = pictures(2, 1, 3, 3)
    assert build_augment(None)(images, seeded(0)) is images


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["flp"], r"unknown augmentation 'flp': choose one of flip, crop; did you mean 'flip'\?"),
        ("flip", "must be a list of names or a mapping"),
        (3, "must be a list of names or a mapping"),
        (["flip", "flip"], "names flip more than once"),
        ({"crop": {"pading": 3}}, r"unknown option of augmentation crop 'pading'.*did you mean 'padding'"),
        ({"crop": {"padding": -1}}, r"data.augment.crop.padding is -1: .*greater than or equal to 0"),
        ({"crop": {"padding": 2.5}}, r"data.augment.crop.padding is 2.5: .*integer"),
        ({"flip": {"p": 1.5}}, r"data.augment.flip.p is 1.5: .*less than or equal to 1"),
        ({"flip": {"p": "often"}}, r"data.augment.flip.p is 'often'"),
        ({"flip": 0.3}, r"data.augment.flip is 0.3: it must be a mapping"),
    ],
)
def test_what_cannot_be_read_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build_augment(spec)
    assert "\n" not in str(caught.value)
