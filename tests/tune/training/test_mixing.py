"""Trainings on mixed images: what the loss is, how accuracy counts, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tune.training import End, Training, load, save, train
from tune.training.tasks import Classification

from .conftest import Make, Start

AUGMENTATIONS: list[Any] = [
    ["mixup"],
    ["cutmix"],
    {
        "rotation": {"degrees": 10, "interpolation": "bilinear"},
        "translation": None,
        "mixup": {"alpha": 1},
        "cutmix": None,
    },
    {"cutout": {"size": 3}, "scale": {"low": 0.8}, "jitter": None},
]


def numbers(training: Training) -> list[dict[str, float]]:
    """The history without the seconds."""
    return [{k: v for k, v in metrics.to_dict().items() if k != "seconds"} for metrics in training.history]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_both_labels_by_their_shares(make: Make, smoothing: float) -> None:
    """Equation 1 of Zhang et al. 2018: cross entropy is linear in the target."""
    task = Classification(make(label_smoothing=smoothing).training)
    generator = torch.Generator().manual_seed(0)
    logits, images = torch.randn(6, 4, generator=generator), torch.zeros(6, 1, 2, 2)
    own, other = torch.randint(4, (2, 6), generator=generator)
    share = torch.rand(6, generator=generator)
    mixed = torch.lerp(torch.eye(4)[other], torch.eye(4)[own], share[:, None])
    expected = torch.stack([
        s * task.loss(x[None], images, a[None], training=True) + (1 - s) * task.loss(x[None], images, b[None], training=True)
        for x, a, b, s in zip(logits, own, other, share, strict=True)
    ]).mean()  # fmt: skip
    assert task.loss(logits, images, mixed, training=True).item() == pytest.approx(expected.item(), rel=1e-5)


def test_accuracy_is_by_the_label_of_the_larger_share(make: Make) -> None:
    task = Classification(make().training)
    logits = torch.tensor([[9.0, 1, 0], [9, 1, 0], [0, 1, 9]])
    shares = torch.tensor([[0.6, 0.4, 0.0], [0.3, 0.7, 0.0], [0.0, 0.45, 0.55]])
    (right,) = task.others(logits, torch.zeros(3, 1, 1, 1), shares)
    assert right.item() == 2


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_a_training_on_augmented_images_is_repeated_and_resumed_exactly(
    start: Start, tmp_path: Path, augment: Any
) -> None:
    fields: dict[str, Any] = {"data": {"augment": augment}, "epochs": 3, "label_smoothing": 0.1}
    undisturbed, interrupted, resumed = start(**fields), start(**fields), start(**fields)
    train(undisturbed)
    interrupted.run_epoch()
    save(tmp_path / "last.pt", interrupted.state())
    resumed.load(load(tmp_path / "last.pt"))
    assert train(resumed) is End.EPOCHS
    assert numbers(resumed) == numbers(undisturbed)
    plain = start(epochs=3, label_smoothing=0.1)
    train(plain)
    assert numbers(plain) != numbers(undisturbed)


def test_it_learns_from_mixed_labels_and_validates_on_whole_ones(start: Start) -> None:
    mixed = start(
        model={"name": "mnist_cnn"}, data={"augment": ["mixup", "cutmix"], "train_limit": 600}, epochs=12,
        optimizer={"lr": 3e-3},
    )  # fmt: skip
    train(mixed)
    last = mixed.history[-1].values
    assert last["val_accuracy"] > 0.85
    assert last["train_loss"] > last["val_loss"]  # mixed labels cannot be known for certain
    assert last["train_accuracy"] < last["val_accuracy"]


def test_one_image_in_the_last_batch_is_mixed_with_itself(start: Start) -> None:
    training = start(data={"augment": ["mixup"], "train_limit": 100}, batch_size=98)
    assert training.run_epoch().finite
