"""The images of an experiment, split, normalized, and never those of the test set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import data
from tune.spec.experiment import Experiment
from tune.training import Splits, Training, open_splits, train

from .conftest import Make

CPU = torch.device("cpu")
SplitsOf = Callable[[Experiment], Splits]


def indices(part: data.Resident | None) -> set[int]:
    assert part is not None
    assert part.index is not None
    return set(part.index.tolist())


def test_train_and_validation_are_apart_and_of_the_sizes_asked_for(make: Make, splits_of: SplitsOf) -> None:
    splits = splits_of(make(data={"validation_fraction": 0.25, "train_limit": 90}))
    assert (len(splits.train), len(splits.validation or ())) == (90, 360)  # of 1,438
    assert not indices(splits.train) & indices(splits.validation)
    assert splits.input_shape == (1, 8, 8)
    assert splits.classes == tuple("0123456789")


def test_full_trains_on_both_and_validates_on_none(make: Make, tmp_path: Any) -> None:
    experiment = make(data={"train_limit": None})
    apart, full = (open_splits(experiment.data, tmp_path, CPU, full=full) for full in (False, True))
    assert full.validation is None
    assert indices(full.train) == indices(apart.train) | indices(apart.validation)
    assert full.split_hash != apart.split_hash
    training = Training(experiment, full, device=CPU, epochs=2)
    train(training)
    assert training.best is training.history[-1]


def test_the_test_part_is_never_opened(make: Make, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("the test set was opened")

    monkeypatch.setattr("data.sources.load_test", forbidden)
    splits = open_splits(make().data, tmp_path, CPU)
    Training(make(epochs=1), splits, device=CPU).run_epoch()


def test_the_same_split_whatever_the_seed_of_the_training(make: Make, splits_of: SplitsOf) -> None:
    one, other = splits_of(make(seed=0)), splits_of(make(seed=1))
    assert one.split_hash == other.split_hash
    assert indices(one.train) == indices(other.train)
    assert splits_of(make(data={"split_seed": 1})).split_hash != one.split_hash


def test_normalization_by_name_measured_or_given(make: Make, splits_of: SplitsOf) -> None:
    def normalized(value: Any) -> tuple[data.Normalization, torch.Tensor]:
        splits = splits_of(make(data={"normalize": value}))
        ((images, _),) = splits.train.batches(1_000)
        return splits.normalization, images

    assert normalized("half")[0] == data.Normalization((0.5,), (0.5,))
    numbers, images = normalized("dataset")
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert numbers.mean[0] == pytest.approx(0.306, abs=0.02)
    given = {"mean": [0.1], "std": [0.2]}
    assert normalized(given)[0] == data.Normalization((0.1,), (0.2,))
    assert normalized(given)[1].min().item() == pytest.approx(-0.5)


def test_validation_images_are_not_augmented(make: Make, splits_of: SplitsOf) -> None:
    # At a learning rate of nothing, what augmentation changes shows in the training loss alone.
    plain, augmented = (
        make(optimizer={"lr": 1e-30}),
        make(optimizer={"lr": 1e-30}, data={"augment": {"crop": {"padding": 3}}}),
    )
    one, other = (Training(e, splits_of(e), device=CPU).run_epoch().values for e in (plain, augmented))
    assert one["val_loss"] == other["val_loss"]
    assert one["train_loss"] != other["train_loss"]


def test_the_images_are_shared_between_parts_not_copied(make: Make, splits_of: SplitsOf) -> None:
    splits = splits_of(make())
    assert splits.validation is not None
    assert splits.train.images.data_ptr() == splits.validation.images.data_ptr()
