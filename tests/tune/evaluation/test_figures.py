"""Figures: that they are pictures of the right size for few, many and oddly named classes. Looks are for eyes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from data import Resident
from tune.evaluation.figures import confusion, most_confused, prediction_grid
from tune.evaluation.scores import Predictions


def predictions(logits: torch.Tensor, labels: torch.Tensor, classes: tuple[str, ...]) -> Predictions:
    return Predictions.of([(logits, labels)], torch.arange(len(labels)), classes)


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


@pytest.mark.parametrize("classes", [1, 2, 10, 21, 30, 100, 101, 5000])
def test_confusion_of_few_and_many_classes(classes: int) -> None:
    counts = np.diag(np.arange(classes)).tolist()  # the first class has no images
    width, height = size(confusion(counts, [f"class number {i} of many" for i in range(classes)], "title $x_$"))
    assert 400 <= height <= 2000
    assert width >= height


def test_of_many_classes_the_most_confused_are_drawn() -> None:
    counts = np.diag(np.full(200, 9))
    counts[150, 3], counts[7, 120], counts[7, 121] = 5, 4, 1
    assert most_confused(counts, 4) == [3, 7, 120, 150]
    assert most_confused(counts, 6) == [0, 3, 7, 120, 121, 150]  # and the first of the largest
    assert most_confused(np.zeros((200, 200), int), 3) == [0, 1, 2]


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_of_predictions_in_any_script(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = Resident(
        torch.randint(256, (6, channels, 8, 8), generator=generator, dtype=torch.uint8), torch.arange(6) % 2
    )
    made = predictions(torch.randn(6, 2, generator=generator), images.labels, ("$a_b$", "猫 🐈"))
    width, height = size(prediction_grid(made, images, (2, 3)))
    assert width > height


def test_right_is_green_and_wrong_is_red() -> None:
    images = Resident(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    colours = []
    for label in (0, 1):
        made = predictions(torch.tensor([[1.0, 0.0]]), torch.tensor([label]), ("a", "b"))
        pixels = np.asarray(Image.open(io.BytesIO(prediction_grid(made, images, (1, 1)))).convert("RGB")).astype(int)
        red, green = (pixels[..., 0] - pixels[..., 1]).max(), (pixels[..., 1] - pixels[..., 0]).max()
        colours.append("red" if red > green else "green")
    assert colours == ["green", "red"]
