"""The table of augmentations, and how `data.augment` is read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from data import DataError, augmentation, build_augment
from data.augmentation import Kind

NAMES = [
    *("flip", "alternating_flip", "vertical_flip", "crop", "rotation", "translation", "scale", "jitter", "cutout"),
    *("mixup", "cutmix"),
]
MIXING = ["mixup", "cutmix"]


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(0))


def test_the_table_is_complete() -> None:
    assert augmentation.names() == NAMES
    assert [name for name in NAMES if augmentation.get(name).kind is Kind.MIX] == MIXING
    assert all(augmentation.get(name).summary for name in NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MIXING])
@pytest.mark.parametrize("shape", [(5, 3, 7, 6), (1, 1, 1, 1), (2, 2, 1, 9), (3, 4, 8, 8)])
def test_every_augmentation_keeps_shape_type_and_its_input(name: str, shape: tuple[int, ...]) -> None:
    images = pictures(*shape)
    before = images.clone()
    changed = build_augment([name])(images, seeded(3))
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
    assert images.equal(before)
    assert build_augment([name])(images, seeded(3)).equal(changed)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MIXING])
def test_every_image_has_a_draw_of_its_own(name: str) -> None:
    images = pictures(1, 3, 32, 32).expand(40, -1, -1, -1)
    changed = build_augment([name])(images, seeded(0)).flatten(1)
    different = len(set(map(tuple, changed.tolist())))
    assert different == 2 if "flip" in name else different > 5


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MIXING])
def test_how_images_lie_in_memory_does_not_matter(name: str) -> None:
    images = pictures(6, 3, 8, 8)
    lying = images.to(memory_format=torch.channels_last)
    assert build_augment([name])(lying, seeded(1)).equal(build_augment([name])(images, seeded(1)))


@given(
    st.permutations([name for name in NAMES if name not in ("flip", *MIXING)]), st.integers(0, 8), st.integers(0, 99)
)
def test_all_together_in_any_order(names: list[str], count: int, seed: int) -> None:
    images = pictures(3, 3, 9, 8)
    changed = build_augment(names[:count])(images, seeded(seed))
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
    assert build_augment(names[:count])(images, seeded(seed)).equal(changed)


def test_options_come_from_the_functions() -> None:
    def defaults(name: str) -> dict[str, Any]:
        return {key: option.default for key, option in augmentation.options(name).items()}

    assert defaults("flip") == defaults("vertical_flip") == {"p": 0.5}
    assert defaults("crop") == {"padding": 4, "fill": 0, "mode": "constant"}
    shared = {"interpolation": "nearest", "fill": 0}
    assert defaults("rotation") == {"degrees": 15.0, **shared}
    assert defaults("translation") == {"fraction": 0.1, **shared}
    assert defaults("scale") == {"low": 0.9, "high": 1.1, **shared}
    assert defaults("jitter") == {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
    assert defaults("cutout") == {"size": 16, "fill": 127}
    assert (defaults("mixup"), defaults("cutmix")) == ({"alpha": 0.2}, {"alpha": 1.0})


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (None, "none"),
        ([], "none"),
        ({}, "none"),
        (["flip", "crop"], "flip(p=0.5), crop(padding=4, fill=0, mode=constant)"),
        ({"crop": {"padding": 2}, "flip": None}, "crop(padding=2, fill=0, mode=constant), flip(p=0.5)"),
        ({"flip": {"p": 1}}, "flip(p=1)"),
        (["mixup"], "mixup(alpha=0.2)"),
        (["mixup", "flip", "cutmix"], "flip(p=0.5), mixup(alpha=0.2) or cutmix(alpha=1.0)"),
    ],
)
def test_a_description_of_augmentations_is_read(spec: Any, text: str) -> None:
    assert augmentation.describe(spec) == text


def test_no_augmentation_changes_nothing() -> None:
    images, targets = pictures(2, 1, 3, 3), torch.eye(2)
    assert build_augment(None)(images, seeded(0)) is images
    assert not build_augment(["flip"]).mixes
    floats = images.float()
    mixed = build_augment(["flip"]).mix(floats, targets, seeded(0))
    assert mixed[0] is floats
    assert mixed[1] is targets


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["flp"], r"unknown augmentation 'flp'; did you mean flip\? Valid names: flip, "),
        ("flip", "must be a list of names or a mapping"),
        (3, "must be a list of names or a mapping"),
        (["flip", "flip"], r"got flip more than once"),
        (["flip", "crop", "alternating_flip"], "must have flip or alternating_flip, not both; remove alternating_flip"),
        ({"crop": {"pading": 3}}, r"unknown option of augmentation crop 'pading'.*did you mean padding"),
        ({"crop": {"padding": -1}}, r"data.augment.crop.padding .*greater than or equal to 0.*got -1"),
        ({"crop": {"padding": 2.5}}, r"data.augment.crop.padding .*integer.*got 2.5"),
        ({"crop": {"mode": "mirror"}}, r"data.augment.crop.mode .*'constant' or 'reflect'.*got 'mirror'"),
        ({"flip": {"p": 1.5}}, r"data.augment.flip.p .*less than or equal to 1.*got 1.5"),
        ({"flip": {"p": float("nan")}}, r"data.augment.flip.p .*finite.*got nan"),
        ({"flip": {"p": "often"}}, r"data.augment.flip.p .*got 'often'"),
        ({"flip": 0.3}, r"data.augment.flip must be a mapping"),
        ({"rotation": {"degrees": 181}}, r"rotation.degrees .*less than or equal to 180.*got 181"),
        ({"rotation": {"interpolation": "cubic"}}, r"rotation.interpolation .*'nearest' or 'bilinear'.*got 'cubic'"),
        ({"translation": {"fraction": -0.1}}, r"translation.fraction .*greater than or equal to 0.*got -0.1"),
        ({"scale": {"low": 0}}, r"scale.low .*greater than or equal to 0.1.*got 0"),
        ({"scale": {"low": 1.2}}, r"data.augment.scale.low must be at most high=1.1"),
        ({"jitter": {"hue": 0.6}}, r"jitter.hue .*less than or equal to 0.5.*got 0.6"),
        ({"cutout": {"size": 0}}, r"cutout.size .*greater than or equal to 1.*got 0"),
        ({"cutout": {"fill": 256}}, r"cutout.fill .*less than or equal to 255.*got 256"),
        ({"mixup": {"alpha": 0}}, r"mixup.alpha .*greater than or equal to 0.01.*got 0"),
    ],
)
def test_what_cannot_be_read_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build_augment(spec)
    assert "\n" not in str(caught.value)
