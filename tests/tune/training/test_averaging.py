"""Averages of weights as their formulas say, and that they are what is validated and kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from tune.spec.recipe import AveragingSpec
from tune.training import Training, train

from .conftest import Start

State = dict[str, Tensor]
NORMED = {"name": "classifier", "starting_channels": 4, "final_channels": 8, "cnn_layers": 2, "fcn_layers": 2}


def snapshot(model: nn.Module) -> State:
    return {name: tensor.detach().double() for name, tensor in model.state_dict().items()}


def by_step(training: Training) -> list[State]:
    """The weights after every step of the training, which runs to its end."""
    told: list[State] = []
    training._optimizer_step.optimizer.register_step_post_hook(lambda *_: told.append(snapshot(training.model)))
    train(training)
    return told


def close(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name].double(), other[name].double(), rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_ema_is_the_moving_average_of_every_step(start: Start, decay: float) -> None:
    training = start(epochs=3, averaging={"name": "ema", "decay": decay})
    average: State = {}
    steps = by_step(training)
    for n, weights in enumerate(steps):
        d = min(decay, (1 + n) / (10 + n))
        average = {name: d * average[name] + (1 - d) * weights[name] for name in weights} if n else weights
    assert len(steps) == 3 * 4
    close(snapshot(training._averaging.model), average)


def test_ema_averages_the_statistics_of_batch_normalization(start: Start) -> None:
    training = start(model=NORMED, epochs=2, averaging={"name": "ema", "decay": 0.8})
    steps = by_step(training)
    key = next(name for name in steps[0] if name.endswith("running_var"))
    average = steps[0][key]
    for n, weights in enumerate(steps[1:], start=1):
        d = min(0.8, (1 + n) / (10 + n))
        average = d * average + (1 - d) * weights[key]
    torch.testing.assert_close(snapshot(training._averaging.model)[key], average, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("epochs", "beginning", "averaged"), [(4, 0.75, 1), (4, 0.5, 2), (5, 0.0, 5), (1, 0.9, 1)])
def test_swa_is_the_mean_of_the_last_epochs(start: Start, epochs: int, beginning: float, averaged: int) -> None:
    training = start(epochs=epochs, averaging={"name": "swa", "start": beginning})
    after: list[State] = []
    train(training, lambda metrics: after.append(snapshot(training.model)))
    last = after[-averaged:]
    close(snapshot(training._averaging.model), {name: sum(w[name] for w in last) / averaged for name in last[0]})  # type: ignore[misc]


def test_swa_estimates_batch_normalization_over_the_training_images(start: Start) -> None:
    """One layer of normalization first, so that its statistics are those of the images and not of any weights."""
    training = start(model=NORMED, epochs=2, averaging={"name": "swa", "start": 0.5}, batch_size=50)
    train(training)
    average = training._averaging.model
    norm = next(module for module in average.modules() if isinstance(module, nn.BatchNorm2d))
    conv = next(module for module in average.modules() if isinstance(module, nn.Conv2d))
    means = [conv(images).mean((0, 2, 3)) for images, _ in training._batches.of(2)]
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(0), rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1
    close(  # and the weights trained on are left alone
        {
            "n": next(m for m in training.model.modules() if isinstance(m, nn.BatchNorm2d)).state_dict()[
                "num_batches_tracked"
            ]
        },
        {"n": torch.tensor(4)},
    )


def judge(training: Training, model: nn.Module) -> float:
    """The validation loss of a model, by hand."""
    model.eval()
    assert training.splits.validation is not None
    total = 0.0
    with torch.no_grad():
        for images, labels in training.splits.validation.batches(10):
            total += float(nn.functional.cross_entropy(model(images), labels, reduction="sum"))
    return total / len(training.splits.validation)


@pytest.mark.parametrize("averaging", [{"name": "ema", "decay": 0.9}, {"name": "swa", "start": 0.5}])
@pytest.mark.parametrize("model", [NORMED, {"name": "mnist_cnn"}])
def test_validated_and_kept_is_the_average(start: Start, model: dict[str, Any], averaging: dict[str, Any]) -> None:
    training = start(model=model, epochs=4, averaging=averaging, optimizer={"name": "sgd", "lr": 0.3})
    kept: dict[int, State] = {}

    def note(metrics: Any) -> None:
        assert metrics.values["val_loss"] == pytest.approx(judge(training, training._averaging.model), rel=1e-5)
        kept[metrics.epoch] = snapshot(training._averaging.model)

    train(training, note)
    assert training._averaging.model is not training.model
    assert abs(judge(training, training.model) - training.history[-1].values["val_loss"]) > 1e-6
    assert training.best is not None
    assert training.best_weights is not None
    close(training.best_weights, kept[training.best.epoch])
    spec = training.experiment.model
    fresh = models.build(spec.name, training.splits.input_shape, 10, **spec.options())
    fresh.load_state_dict(training.best_weights)  # what is kept is a model like any other
    assert judge(training, fresh) == pytest.approx(training.best.values["val_loss"], rel=1e-5)


def test_before_it_begins_the_model_itself_is_judged(start: Start) -> None:
    plain, averaged = start(epochs=4), start(epochs=4, averaging={"name": "swa", "start": 0.75})
    train(plain)
    train(averaged)
    values = [[metrics.values for metrics in training.history] for training in (plain, averaged)]
    assert values[0][:3] == values[1][:3]
    # An average of one is the model: from here on the two would part.
    assert values[0][3] == values[1][3]


@pytest.mark.parametrize("averaging", [{"name": "ema"}, {"name": "swa", "start": 0.0}])
def test_averaging_does_not_disturb_the_training(start: Start, averaging: dict[str, Any]) -> None:
    """The pass that re-estimates statistics draws dropout masks: the next epoch must not feel it."""
    fields: dict[str, Any] = {"model": {**NORMED, "dropout": 0.3}, "epochs": 3, "data": {"augment": ["crop"]}}
    plain, averaged = start(**fields), start(**fields, averaging=averaging)
    train(plain)
    train(averaged)
    close(snapshot(plain.model), snapshot(averaged.model))


def test_a_divergence_leaves_no_average_to_keep(start: Start) -> None:
    training = start(optimizer={"name": "sgd", "lr": 1e38}, averaging={"name": "swa", "start": 0.0})
    train(training)
    assert training.best_weights is None


@pytest.mark.parametrize("epochs", range(1, 200))
def test_the_share_of_epochs_leaves_at_least_one_to_average(epochs: int) -> None:
    for percent in range(100):
        before = AveragingSpec(name="swa", start=percent / 100).epochs_before(epochs)
        assert before == percent * epochs // 100
