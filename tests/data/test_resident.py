"""Batches: their content, order and normalization."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode
from torchvision.transforms.functional import normalize, to_tensor

from data import DataError, Normalization, Resident, augmentation, build_augment, channel_moments, normalization

IMAGES = torch.randint(0, 256, (25, 3, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(25)  # Each image's own number, so that batches can be followed.
HALF = Normalization((0.5,) * 3, (0.5,) * 3)


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def served(resident: Resident, batch_size: int, **how: object) -> tuple[Tensor, Tensor]:
    batches = list(resident.batches(batch_size, **how))  # type: ignore[arg-type]
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def test_batches_without_a_generator_keep_the_order_and_the_last_smaller_one() -> None:
    resident = Resident(IMAGES, LABELS)
    assert [len(labels) for _, labels in resident.batches(10)] == [10, 10, 5]
    images, labels = served(resident, 10)
    assert labels.equal(LABELS)
    assert torch.allclose(images, IMAGES / 255)


def test_an_index_decides_which_images_are_served() -> None:
    index = torch.tensor([3, 4, 20, 24])
    resident = Resident(IMAGES, LABELS, index)
    assert len(resident) == 4
    images, labels = served(resident, 3)
    assert labels.equal(index)
    assert torch.allclose(images, IMAGES[index] / 255)
    _, shuffled = served(resident, 3, generator=seeded())
    assert sorted(shuffled.tolist()) == index.tolist()


def test_a_generator_shuffles_images_and_labels_together_and_anew_each_pass() -> None:
    resident, generator = Resident(IMAGES, LABELS), seeded()
    images, labels = served(resident, 4, generator=generator)
    assert sorted(labels.tolist()) == LABELS.tolist()
    assert torch.allclose(images, IMAGES[labels] / 255)
    assert not served(resident, 4, generator=generator)[1].equal(labels)
    assert served(resident, 4, generator=seeded())[1].equal(labels)


def test_normalization_is_that_of_torchvision() -> None:
    mean, std = (0.1, 0.4, 0.7), (0.2, 0.3, 0.4)
    images, _ = served(Resident(IMAGES, LABELS, normalization=Normalization(mean, std)), 25)
    reference = torch.stack([normalize(to_tensor(image.permute(1, 2, 0).numpy()), mean, std) for image in IMAGES])
    assert torch.allclose(images, reference, atol=1e-6)


def test_batches_are_the_callers_own() -> None:
    resident = Resident(IMAGES.clone(), LABELS.clone())
    for images, _ in resident.batches(10):
        images.zero_()
    assert resident.images.equal(IMAGES)


def test_augmentation_sees_bytes_and_draws_from_the_generator() -> None:
    seen: list[torch.dtype] = []

    def spy(images: Tensor, generator: Generator) -> Tensor:
        seen.append(images.dtype)
        return 255 - images

    images, labels = served(Resident(IMAGES, LABELS), 25, generator=seeded(), augment=spy)
    assert seen == [torch.uint8]
    assert torch.allclose(images, (255 - IMAGES[labels]) / 255)
    augment = build_augment(["flip", "crop"])
    first = served(Resident(IMAGES, LABELS), 5, generator=seeded(1), augment=augment)[0]
    assert served(Resident(IMAGES, LABELS), 5, generator=seeded(1), augment=augment)[0].equal(first)


def test_on_the_cpu_nothing_is_copied() -> None:
    resident = Resident(IMAGES, LABELS, torch.tensor([1, 2]))
    assert resident.to("cpu").images.data_ptr() == IMAGES.data_ptr()
    assert resident.resident_bytes == IMAGES.nbytes + LABELS.nbytes


def test_only_its_own_images_travel_to_another_device() -> None:
    moved = Resident(IMAGES, LABELS, torch.tensor([1, 2]), normalization=HALF, classes=25).to("meta")
    assert moved.images.shape == (2, 3, 6, 5)
    assert (moved.device.type, len(moved), moved.classes) == ("meta", 2, 25)
    (images, _), *_ = moved.batches(2, generator=seeded(), augment=build_augment(["flip", "crop"]))
    assert images.device.type == "meta"


@pytest.mark.parametrize("index", [None, torch.arange(5, 300), torch.tensor([7, 2, 299])])
def test_a_move_copies_little_at_a_time(index: Tensor | None, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(300, 3, 6, 5, dtype=torch.uint8)
    resident = Resident(images, torch.arange(300), index)
    monkeypatch.setattr("data.resident._CHUNK_BYTES", 4 * images[:100].numel())
    moves: list[int] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is Tensor.__setitem__:
                moves.append(args[2].nbytes)
            return func(*args, **(kwargs or {}))

    with Watch():
        moved = resident.to("meta")
    assert len(moved) == len(resident)
    assert sum(moves) == moved.images.nbytes
    assert max(moves) <= images[:100].nbytes


PIXELS = [name for name in augmentation.names() if augmentation.get(name).kind is not augmentation.Kind.MIX]


@pytest.mark.parametrize("spec", [*([name] for name in PIXELS), {"rotation": {"interpolation": "bilinear"}}])
def test_every_augmentation_is_made_where_the_images_are(spec: Any) -> None:
    moved = Resident(IMAGES, LABELS).to("meta")
    (images, _), *_ = moved.batches(4, generator=seeded(), augment=build_augment(spec))
    assert (images.device.type, images.shape) == ("meta", (4, 3, 6, 5))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_images_are_mixed_where_they_are(name: str) -> None:
    images, targets = torch.zeros(4, 3, 6, 5, device="meta"), torch.zeros(4, 2, device="meta")
    mixed = build_augment([name]).mix(images, targets, seeded())
    assert [part.device.type for part in mixed] == ["meta", "meta"]


def test_what_cannot_be_served_is_refused() -> None:
    resident = Resident(IMAGES, LABELS)
    with pytest.raises(DataError, match="batch size must be at least 1"):
        resident.batches(0)
    with pytest.raises(DataError, match="needs a generator"):
        resident.batches(4, augment=build_augment(["flip"]))
    with pytest.raises(DataError, match="must have 3 channels"):
        Resident(IMAGES, LABELS, normalization=Normalization((0.5,), (0.5,)))


def test_a_resident_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(Resident(IMAGES, LABELS, normalization=HALF)))
    assert served(copy, 25)[0].equal(served(Resident(IMAGES, LABELS, normalization=HALF), 25)[0])


def test_moments_are_exact() -> None:
    index = torch.tensor([0, 7, 7, 21])
    mean, std = channel_moments(IMAGES, index)
    chosen = IMAGES[index].double() / 255
    assert mean == pytest.approx(chosen.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert std == pytest.approx(chosen.std((0, 2, 3), correction=0).tolist(), abs=1e-12)


def test_moments_of_more_images_than_fit_a_chunk() -> None:
    images = torch.randint(0, 256, (9000, 1, 2, 2), dtype=torch.uint8, generator=seeded())
    mean, _ = channel_moments(images)
    assert mean == pytest.approx([float(images.double().mean() / 255)], abs=1e-12)


def test_named_normalizations() -> None:
    assert normalization("half", IMAGES) == HALF
    assert normalization("none", IMAGES) == Normalization((0.0,) * 3, (1.0,) * 3)
    measured = normalization("dataset", IMAGES, torch.arange(20))
    images, _ = served(Resident(IMAGES, LABELS, torch.arange(20), normalization=measured), 20)
    assert images.mean((0, 2, 3)).abs().max() < 1e-5
    assert (images.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    with pytest.raises(DataError, match=r"unknown normalization 'haf'; did you mean half"):
        normalization("haf", IMAGES)


def test_a_channel_without_spread_is_only_shifted() -> None:
    flat = torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)
    images, _ = served(Resident(flat, torch.zeros(4), normalization=normalization("dataset", flat)), 4)
    assert images.abs().max() < 1e-6
