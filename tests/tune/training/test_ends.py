"""When a training ends, why, and what is then the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tune.spec.metric import METRICS, EpochMetrics, Objective
from tune.training import End, Training, load, save, train

from .conftest import Start


def scripted(training: Training, val_losses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what the epochs measure by a list."""
    losses = iter(val_losses)
    monkeypatch.setattr(training, "_train", lambda epoch, on_step: ({"train_loss": 1.0, "train_accuracy": 0.5}, 0.1))
    monkeypatch.setattr(training, "_validate", lambda diverged: {"val_loss": next(losses), "val_accuracy": 0.5})


def test_it_runs_its_epochs_and_reports_each(start: Start) -> None:
    training, told = start(epochs=3), list[EpochMetrics]()
    assert train(training, told.append) is End.EPOCHS
    assert [metrics.epoch for metrics in told] == [1, 2, 3]
    assert told == training.history
    assert set(told[0].values) == {"train_loss", "train_accuracy", "val_loss", "val_accuracy"}
    with pytest.raises(RuntimeError, match="ended: epochs"):
        training.run_epoch()
    assert train(training, told.append) is End.EPOCHS
    assert len(told) == 3


@pytest.mark.parametrize(("epochs", "runs"), [(2, 2), (4, 3), (None, 3)])
def test_fewer_epochs_may_be_asked_for_but_not_more(start: Start, epochs: int | None, runs: int) -> None:
    training = start(epochs=3, options={"epochs": epochs})
    train(training)
    assert len(training.history) == runs


def test_early_stopping_keeps_the_best_weights(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    training = start(epochs=50, early_stopping={"patience": 3, "min_delta": 0.1})
    scripted(training, [1.0, 0.7, 0.65, 0.9, 0.66, 0.1], monkeypatch)
    assert train(training) is End.EARLY_STOPPING
    assert len(training.history) == 5  # .65 is no improvement by .1, but still the best
    assert training.best is training.history[2]


def test_the_last_epoch_ends_it_whatever_patience_says(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    training = start(epochs=3, early_stopping={"patience": 2})
    scripted(training, [1.0, 2.0, 3.0], monkeypatch)
    assert train(training) is End.EPOCHS


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_patience_goes_on_where_it_stood(start: Start, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    losses = [1.0, 0.5, 0.6, 0.6, 0.6, 0.4]
    first, second = (start(epochs=50, early_stopping={"patience": 3}) for _ in range(2))
    scripted(first, losses, monkeypatch)
    for _ in range(stop):
        first.run_epoch()
    second.load(first.state())
    scripted(second, losses[stop:], monkeypatch)
    assert train(second) is End.EARLY_STOPPING
    assert len(second.history) == 5


def test_best_weights_are_those_of_the_best_epoch(start: Start) -> None:
    training = start(
        epochs=6, optimizer={"name": "sgd", "lr": 2.0}, options={"objective": Objective(METRICS["val_accuracy"])}
    )
    snapshots = {}
    train(training, lambda metrics: snapshots.update({metrics.epoch: training.state()["model"]}))
    assert training.best is not None
    assert training.best.values["val_accuracy"] == max(m.values["val_accuracy"] for m in training.history)
    assert training.best_weights is not None
    for name, tensor in snapshots[training.best.epoch].items():
        assert torch.equal(training.best_weights[name], tensor)


def test_without_validation_the_latest_epoch_is_the_best(start: Start) -> None:
    training = start(epochs=3, data={"validation_fraction": 0.0, "train_limit": 100})
    train(training)
    assert set(training.history[0].values) == {"train_loss", "train_accuracy"}
    assert training.best is training.history[-1]
    assert training.best_weights is not None
    assert torch.equal(training.best_weights["1.weight"], training.model.state_dict()["1.weight"])


@pytest.mark.parametrize("model", ["mnist_mlr", "mnist_cnn"])
def test_a_divergence_ends_it_at_once(start: Start, tmp_path: Path, model: str) -> None:
    steps = 0
    training = start(
        model={"name": model}, data={"train_limit": 1_000}, batch_size=4, optimizer={"name": "sgd", "lr": 1e38}
    )

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1

    training.model.register_forward_hook(count)
    assert train(training) is End.DIVERGED
    assert steps == 50  # of 250: the first look at the losses
    (metrics,) = training.history
    assert not math.isfinite(metrics.values["train_loss"])
    assert math.isnan(metrics.values["val_loss"])
    assert math.isnan(metrics.values["val_accuracy"])
    assert training.best is None
    assert training.best_weights is None
    save(tmp_path / "x.pt", training.state())
    again = start(training.experiment)
    again.load(load(tmp_path / "x.pt"))
    assert again.end is End.DIVERGED


def test_a_validation_loss_that_is_not_finite_is_a_divergence(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    training = start(epochs=9)
    scripted(training, [1.0, math.inf], monkeypatch)
    assert train(training) is End.DIVERGED
    assert training.best is training.history[0]


@pytest.mark.parametrize(
    "model",
    [
        {"name": "mnist_cnn"},
        {"name": "classifier", "starting_channels": 16, "final_channels": 48, "cnn_layers": 2, "fcn_layers": 2},
    ],
)
def test_learning_happens(start: Start, model: dict[str, Any]) -> None:
    training = start(
        model=model,
        data={"train_limit": None, "validation_fraction": 0.2},
        epochs=12,
        batch_size=32,
        optimizer={"lr": 3e-3},
        schedule={"name": "onecycle"},
    )
    train(training)
    assert training.best is not None
    assert training.best.values["val_accuracy"] > 0.95
