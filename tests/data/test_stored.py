"""Images kept in memory as floating-point numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import data
from data import DataError, Normalization, Resident


def part(images: int = 21, channels: int = 3) -> Resident:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images + 5, channels, 4, 6), dtype=torch.uint8, generator=generator)
    labels = torch.arange(images + 5)
    index = torch.randperm(images + 5, generator=generator)[:images]
    mean, std = (0.1307, 0.5, 0.0)[:channels], (0.3081, 0.5, 1.0)[:channels]
    return Resident(pixels, labels, index, normalization=Normalization(mean, std))


def served(resident: Resident, seed: int | None) -> list[tuple[Tensor, Tensor]]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return list(resident.batches(8, generator=generator))


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_float32_gives_bitwise_the_same_batches(seed: int | None, channels: int) -> None:
    plain, stored = part(channels=channels), part(channels=channels).stored_as(torch.float32)
    batches = list(zip(served(plain, seed), served(stored, seed), strict=True))
    assert [len(labels) for (_, labels), _ in batches] == [8, 8, 5]
    for (images, labels), (others, their_labels) in batches:
        assert torch.equal(images, others)
        assert torch.equal(labels, their_labels)


def test_a_second_pass_gives_the_same_whatever_was_done_to_the_first() -> None:
    stored = part().stored_as(torch.float32)
    first = served(stored, None)
    before = [images.clone() for images, _ in first]
    for images, _ in first:
        images.zero_()
    assert all(torch.equal(a, b) for a, (b, _) in zip(before, served(stored, None), strict=True))


def test_float16_rounds_to_eleven_bits_and_serves_float32() -> None:
    plain, stored = part(), part().stored_as(torch.float16)
    for (images, _), (others, _) in zip(served(plain, 1), served(stored, 1), strict=True):
        assert others.dtype == torch.float32
        assert torch.equal(others, images.half().float())
        assert (others - images).abs().max() <= images.abs().max() * 2**-11


def test_the_bytes_are_those_of_the_part_alone() -> None:
    resident = part()
    numbers = 21 * 3 * 4 * 6
    assert resident.stored_as(torch.float16).images.nbytes == 2 * numbers
    assert resident.stored_as(torch.float32).images.nbytes == 4 * numbers
    assert resident.stored_as(torch.uint8) is resident


def test_a_part_without_an_index_and_one_image() -> None:
    whole = Resident(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), torch.tensor([4]))
    ((images, labels),) = served(whole.stored_as(torch.float16), None)
    assert images.tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]
    assert labels.tolist() == [4]


def test_other_types_and_augmentation_are_refused() -> None:
    with pytest.raises(DataError, match=r"got torch\.int8"):
        part().stored_as(torch.int8)
    augment = data.build_augment({"flip": {}})
    with pytest.raises(DataError, match="only images kept as uint8"):
        part().stored_as(torch.float16).batches(4, generator=torch.Generator(), augment=augment)
