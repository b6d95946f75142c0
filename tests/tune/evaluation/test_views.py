"""Test-time averaging against a plain loop over the views of each image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import data
from tune.errors import UserError
from tune.evaluation.views import VIEWS, averaged, measure


def classifier() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)).eval()


def plain(model: nn.Module, image: Tensor) -> Tensor:
    """.25 of the image and its mirror image, .125 of each of both shifts and theirs."""
    wide = np.pad(image.numpy(), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    height, width = image.shape[1:]
    up, down = wide[:, 2:, 2:], wide[:, :height, :width]

    def both(one: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Tensor:
        views = [torch.from_numpy(one.copy()), torch.from_numpy(one[:, :, ::-1].copy())]
        return torch.stack([model(view[None])[0] for view in views]).mean(0)

    return 0.5 * both(image.numpy()) + 0.5 * (both(up) + both(down)) / 2


def test_logits_are_the_weighted_mean_over_the_views() -> None:
    model, images = classifier(), torch.rand(5, 3, 6, 7)
    with torch.no_grad():
        expected = torch.stack([plain(model, image) for image in images])
        torch.testing.assert_close(averaged(model, images), expected)
    assert sum(float(view["weight"]) for view in VIEWS) == 1


def test_accuracy_and_loss_by_hand() -> None:
    model, labels = classifier(), torch.arange(40) % 4
    pixels = torch.randint(0, 256, (40, 3, 6, 7), dtype=torch.uint8)
    with torch.inference_mode():
        found = measure(model, data.Resident(pixels, labels), 4)
        logits = torch.stack([plain(model, image) for image in pixels / 255])
    assert found["accuracy"] == (logits.argmax(1) == labels).double().mean()
    assert found["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert found["accuracy_interval"][0] < found["accuracy"] < found["accuracy_interval"][1]


def test_an_image_of_one_pixel_has_no_border_to_reflect() -> None:
    images = data.Resident(torch.zeros(2, 3, 1, 5, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(UserError, match="at least 2 x 2 pixels"):
        measure(lambda batch: batch.flatten(1), images, 15)
