"""What cannot take its first step is refused before anything is trained or written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import data
import models
from data import augmentation as augmentations
from tune.errors import UserError
from tune.spec.experiment import Experiment
from tune.training import InfeasibleError, Splits, Training, train

from .conftest import Make, Start

CPU = torch.device("cpu")
SIDES = (1, 2, 4, 8, 16, 28)


@pytest.fixture(scope="module")
def noise(start: Start) -> Any:
    """Splits of random images: `noise(side, train, validation)`."""
    like = start().splits

    def splits(side: int, images: int, validation: int = 3) -> Splits:
        pixels = torch.randint(256, (images + validation, 3, side, side), dtype=torch.uint8)
        labels = torch.arange(images + validation) % 2
        train, val = (
            data.Resident(pixels[here], labels[here], classes=2) for here in (slice(images), slice(images, None))
        )
        return replace(like, train=train, validation=val, classes=("a", "b"), input_shape=(3, side, side))

    return splits


def runs_through(experiment: Experiment, splits: Splits) -> bool:
    """Whether an epoch runs through where nothing checks the first step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tune.training.loop.check_first_step", lambda *arguments: None)
        training = Training(experiment, splits, device=CPU)
    try:
        train(training)
    except (ValueError, RuntimeError):
        return False
    return True


def test_a_training_is_refused_exactly_where_its_first_epoch_would_fail(make: Make, noise: Any) -> None:
    tried, refused = 0, set()
    for name in models.names():
        for side in SIDES:
            for batch_size, images in ((1, 4), (2, 4), (2, 5), (8, 5), (8, 1)):
                experiment = make(model={"name": name}, batch_size=batch_size, epochs=1)
                splits = noise(side, images)
                try:
                    models.check(name, splits.input_shape, 2)
                except models.ModelError:
                    continue
                tried += 1
                if runs_through(experiment, splits):
                    Training(experiment, splits, device=CPU)
                    continue
                with pytest.raises(InfeasibleError) as caught:
                    Training(experiment, splits, device=CPU)
                assert isinstance(caught.value, UserError)
                assert name in str(caught.value)
                assert ("training.batch_size" in str(caught.value)) == (images > 1)
                refused.add(name)
    assert tried > 150
    assert refused == {"mini_resnet", "mnist_residual", "mnist_v0"}


def test_augmentations_and_precisions_are_tried_too(make: Make, noise: Any) -> None:
    for augment in augmentations.names():
        for side in (1, 2, 8):
            for precision in ("float32", "bfloat16", "float16"):
                experiment = make(data={"augment": [augment]}, batch_size=1, epochs=1, precision=precision)
                assert runs_through(experiment, noise(side, 3)), augment
                Training(experiment, noise(side, 3), device=CPU)


def test_the_check_changes_neither_the_model_nor_chance(
    make: Make, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    checked = start(model={"name": "mini_resnet"}, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr("tune.training.loop.check_first_step", lambda *arguments: None)
    unchecked = start(model={"name": "mini_resnet"}, epochs=1)
    for training in (checked, unchecked):
        training.run_epoch()
    assert checked.history[0].values == unchecked.history[0].values


def test_lack_of_memory_is_no_fault_of_the_configuration(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(*arguments: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    monkeypatch.setattr("tune.training.tasks.Classification.outputs", forward)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        start()
