"""Figures: that they are pictures of the right size for few, many and oddly named classes. Looks are for eyes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib import font_manager, rc_context, rcParams
from PIL import Image

from data import Resident
from tune.drawing import BLUE, ORANGE, cover
from tune.evaluation import tiles
from tune.evaluation.figures import calibration, confusion, corruptions, most_confused
from tune.evaluation.scores import Predictions, score

pytestmark = pytest.mark.usefixtures("drawn")


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


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def has(png: bytes, colour: str) -> bool:
    """Whether a picture has pixels of exactly this colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((pixels_of(png) == wanted).all(2).any())


def noise(n: int, channels: int, height: int, width: int) -> Resident:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n, channels, height, width), generator=generator, dtype=torch.uint8)
    return Resident(pixels, torch.arange(n) % 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_predictions_in_any_script(channels: int) -> None:
    images = noise(6, channels, 8, 8)
    made = predictions(torch.randn(6, 2), images.labels, ("$a_b$", "猫 🐈"))
    width, height = size(tiles.predictions(made, images, (2, 3), "title $x_$"))
    assert width > height


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 5, 7), (3, 64, 64), (1, 1, 1), (3, 300, 200)])
def test_every_pixel_of_an_image_is_a_square_of_its_colour(channels: int, height: int, width: int) -> None:
    images = noise(1, channels, height, width)
    made = predictions(torch.tensor([[2.0, 0.0]]), images.labels, ("a", "b"))
    sheet = pixels_of(tiles.predictions(made, images, (1, 1), "title"))
    shown = tiles._pixels(images, made, 0).astype(int)
    assert 96 <= max(shown.shape[:2]) <= 224
    bottom = sheet.shape[0] - tiles._GAP
    assert (sheet[bottom - shown.shape[0] : bottom, tiles._GAP : tiles._GAP + shown.shape[1]] == shown).all()
    if max(height, width) <= 128:
        scale = shown.shape[0] // height
        assert (shown[::scale, ::scale, 0] == images.images[0, 0].numpy()).all()
        assert (shown.repeat(2, 2)[scale - 1 :: scale, scale - 1 :: scale, 0] == images.images[0, 0].numpy()).all()


def test_right_and_wrong_differ_in_colour_sign_and_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Resident(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    right, wrong = (predictions(torch.tensor([[1.0, 0.0]]), torch.tensor([label]), ("cat", "dog")) for label in (0, 1))
    assert tiles._tile(right, images, 0).words == ("✓ cat (73 %)", "truth: cat")
    assert tiles._tile(wrong, images, 0).words == ("✗ cat (73 %)", "truth: dog")
    drawn = [tiles.predictions(made, images, (1, 1), "title") for made in (right, wrong)]
    assert [has(png, BLUE) for png in drawn] == [True, False]
    assert [has(png, ORANGE) for png in drawn] == [False, True]


def test_the_most_confident_mistakes_come_first() -> None:
    logits = torch.tensor([[3.0, 0], [1, 0], [5, 0], [2, 0], [0, 9]])
    made = predictions(logits, torch.tensor([1, 1, 0, 1, 1]), ("a", "b"))
    assert tiles.worst_mistakes(made) == [0, 3, 1]
    images = noise(5, 1, 8, 8)
    whole, part = (
        size(tiles.mistakes(made, images, (4, 8), "title")),
        size(tiles.mistakes(made, images, (1, 1), "title")),
    )
    assert whole[1] == part[1]  # no empty rows: there are three mistakes


def test_the_most_confused_pairs_have_a_row_each() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    predicted = torch.tensor([1, 1, 0, 0, 1, 2, 2])
    made = predictions(torch.eye(3)[predicted], labels, ("a", "b", "c"))
    images = noise(7, 3, 8, 8)
    counts = np.asarray(score(made)["confusion"])
    two = size(tiles.confused(made, images, counts, "title"))
    counts[1, 0] = 0
    one = size(tiles.confused(made, images, counts, "title"))
    assert two[0] == one[0]
    assert two[1] > one[1]


@pytest.mark.parametrize("fitted", [True, False])
@pytest.mark.parametrize("n", [1, 300])
def test_calibration_of_one_image_and_many(n: int, fitted: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = 5 * torch.randn(n, 3, generator=generator), torch.randint(3, (n,), generator=generator)
    temperature = 1.5 if fitted else None
    made = Predictions.of([(logits, labels)], torch.arange(n), ("a", "b", "c"), temperature)
    width, height = size(calibration(score(made, 10)["calibration"], "title $x_$"))
    assert (width > height) == fitted


def test_accuracy_under_corruptions() -> None:
    rows = [
        {"corruption": name, "strength": strength, "accuracy": 0.5, "accuracy_interval": [0.4, 0.6]}
        for name in ("blur", "noise", "contrast", "jpeg")
        for strength in range(1, 6)
    ]
    assert size(corruptions(rows, 0.9, "title $x_$")) == (640, 440)


def test_characters_are_taken_from_another_font_or_named() -> None:
    """The script A is in no plain font of matplotlib's, but in another that it brings along."""
    with rc_context():
        before = len(rcParams["font.family"])
        assert cover("é𝒜\n") == ""
        assert len(rcParams["font.family"]) == before + 1
        assert cover("é𝒜") == "", "once is enough"
        assert len(rcParams["font.family"]) == before + 1


def test_characters_that_no_font_has_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    with rc_context():
        assert cover("猫 and 犬 and 猫") == "犬猫"
