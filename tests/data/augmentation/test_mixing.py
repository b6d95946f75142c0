"""Mixup and cutmix against torchvision's, with each image's own share, and batches of mixed labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor
from torchvision.transforms import v2

from data import DataError, Normalization, Resident, build_augment
from data.augmentation.mixing import cutmix, mixup

sizes = st.integers(1, 9)
alphas = st.floats(0.01, 100)
CLASSES = 5


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def batch(*shape: int) -> tuple[Tensor, Tensor]:
    """Images and one-hot targets."""
    generator = seeded(0)
    labels = torch.randint(CLASSES, shape[:1], generator=generator)
    return torch.randn(shape, generator=generator), torch.eye(CLASSES)[labels]


def shares(count: int, alpha: float, generator: Generator) -> Any:
    seed = int(torch.randint(2**32, (), generator=generator))
    return np.random.RandomState(seed).beta(alpha, alpha, count)


def by_torchvision(transform: Any, images: Tensor, targets: Tensor, per_image: list[dict[str, Any]]) -> list[Tensor]:
    """Each image of the batch mixed by its own parameters: torchvision mixes whole batches by one."""
    mixed = []
    for tensor in (images, targets):
        rows = []
        for place, parameters in enumerate(per_image):
            params = {"labels": targets, "batch_size": len(images), **parameters}
            rows.append(transform.transform(tensor, params)[place])
        mixed.append(torch.stack(rows))
    return mixed


@given(sizes, st.integers(1, 4), sizes, sizes, alphas, st.integers(0, 99))
def test_mixup_is_torchvisions(b: int, c: int, h: int, w: int, alpha: float, seed: int) -> None:
    images, targets = batch(b, c, h, w)
    drawn = [{"lam": float(share)} for share in shares(b, alpha, seeded(seed))]
    expected = by_torchvision(v2.MixUp(num_classes=CLASSES), images, targets, drawn)
    mixed = mixup(images, targets, seeded(seed), alpha=alpha)
    assert torch.allclose(mixed[0], expected[0], atol=1e-5)
    assert torch.allclose(mixed[1], expected[1], atol=1e-6)
    assert torch.allclose(mixed[1].sum(1), torch.ones(b))


@given(sizes, st.integers(1, 4), sizes, sizes, alphas, st.integers(0, 99))
def test_cutmix_is_torchvisions(b: int, c: int, h: int, w: int, alpha: float, seed: int) -> None:
    images, targets = batch(b, c, h, w)
    generator = seeded(seed)
    kept = shares(b, alpha, generator)
    rows, columns = (torch.randint(side, (b,), generator=generator).tolist() for side in (h, w))
    drawn = []
    for share, y, x in zip(kept, rows, columns, strict=True):
        down, across = (int(0.5 * (1 - share) ** 0.5 * side) for side in (h, w))
        box = (max(x - across, 0), max(y - down, 0), min(x + across, w), min(y + down, h))
        area = (box[2] - box[0]) * (box[3] - box[1])
        drawn.append({"box": box, "lam_adjusted": 1 - area / (w * h)})
    expected = by_torchvision(v2.CutMix(num_classes=CLASSES), images, targets, drawn)
    mixed = cutmix(images, targets, seeded(seed), alpha=alpha)
    assert mixed[0].equal(expected[0])
    assert torch.allclose(mixed[1], expected[1], atol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_are_of_the_beta_distribution(alpha: float) -> None:
    images, targets = torch.ones(20_000, 1, 1, 1), torch.eye(2).repeat(10_000, 1)
    _, mixed = mixup(images, targets, seeded(0), alpha=alpha)
    share = mixed[torch.arange(20_000), targets.argmax(1)]
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.005)


def test_what_is_given_stays_as_it_is() -> None:
    images, targets = batch(6, 3, 8, 8)
    before = images.clone(), targets.clone()
    for name in ("mixup", "cutmix"):
        mixed = build_augment([name]).mix(images, targets, seeded(0))
        assert not mixed[0].equal(images)
        assert images.equal(before[0])
        assert targets.equal(before[1])


def test_of_two_one_is_drawn_for_each_batch() -> None:
    images, targets = batch(6, 3, 8, 8)
    both, generator, drawn = build_augment(["cutmix", "mixup"]), seeded(0), []
    for _ in range(60):
        mixed, _ = both.mix(images, targets, generator)
        pasted = (mixed == images) | (mixed == images.roll(1, 0))
        drawn.append("cutmix" if pasted.all() else "mixup")
    assert 15 < drawn.count("mixup") < 45


def resident() -> Resident:
    images = torch.randint(0, 256, (25, 3, 6, 5), dtype=torch.uint8, generator=seeded(0))
    normalization = Normalization((0.5,) * 3, (0.25,) * 3)
    return Resident(images, torch.arange(25) % CLASSES, normalization=normalization, classes=CLASSES)


@pytest.mark.parametrize("spec", [["mixup"], ["cutmix"], ["mixup", "flip", "cutmix"], {"mixup": {"alpha": 1}}])
def test_batches_have_mixed_images_and_labels(spec: Any) -> None:
    served = list(resident().batches(4, generator=seeded(0), augment=build_augment(spec)))
    assert [images.shape for images, _ in served] == [(4, 3, 6, 5)] * 6 + [(1, 3, 6, 5)]
    assert [labels.shape for _, labels in served] == [(4, CLASSES)] * 6 + [(1, CLASSES)]
    assert {labels.dtype for _, labels in served} == {torch.float32}
    assert all(torch.allclose(labels.sum(1), torch.ones(len(labels))) for _, labels in served)
    again = list(resident().batches(4, generator=seeded(0), augment=build_augment(spec)))
    assert all(one.equal(other) for a, b in zip(served, again, strict=True) for one, other in zip(a, b, strict=True))


def test_mixing_is_of_the_normalized_images_after_all_else() -> None:
    everything = build_augment({"mixup": {"alpha": 1}, "flip": {"p": 1}})
    (images, labels), *_ = resident().batches(25, generator=seeded(3), augment=everything)
    generator = seeded(3)
    (plain, numbers), *_ = resident().batches(25, generator=generator, augment=build_augment({"flip": {"p": 1}}))
    one_hot = torch.eye(CLASSES)[numbers]
    expected = mixup(plain, one_hot, generator, alpha=1)
    assert images.equal(expected[0])
    assert labels.equal(expected[1])


def test_mixing_needs_the_number_of_classes() -> None:
    part = resident()
    with pytest.raises(DataError, match="number of classes"):
        Resident(part.images, part.labels).batches(4, generator=seeded(0), augment=build_augment(["mixup"]))


def test_another_device_is_told_of_the_classes_too() -> None:
    assert resident().to("meta").classes == CLASSES


def test_without_mixing_labels_stay_numbers() -> None:
    (_, labels), *_ = resident().batches(4, generator=seeded(0), augment=build_augment(["flip"]))
    assert (labels.dtype, labels.shape) == (torch.int64, (4,))
