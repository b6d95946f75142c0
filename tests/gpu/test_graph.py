"""Steps recorded as a graph compute what steps taken one by one compute."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

import models
from tests.gpu.trainings import GPU, distance, numbers, start
from tune.training import Training, train

PRECISIONS = ("float32", "bfloat16", "float16")


def one_by_one(name: str, **fields: Any) -> Training:
    return start(GPU, name, graphs=False, **fields)


def by_graph(name: str, **fields: Any) -> Training:
    return start(GPU, name, graphs=True, **fields)


def recorded(training: Training) -> Training:
    """A training that has ended, after most of its steps came from a graph."""
    assert training._graphed is not None
    train(training)
    assert training._graphed.reason == ""
    assert training._graphed._graph is not None
    return training


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", models.names())
def test_a_recorded_step_equals_one_that_is_not(name: str, precision: str) -> None:
    """Bitwise where two trainings that record nothing are equal bitwise, else as close as those are."""
    fields: dict[str, Any] = {"precision": precision, "batch_size": 24, "epochs": 2, "clip_norm": 1.0}
    plain, again = one_by_one(name, **fields), one_by_one(name, **fields)
    train(plain)
    train(again)
    graphed = recorded(by_graph(name, **fields))
    noise, apart = distance(again.model, plain.model), distance(graphed.model, plain.model)
    print(f"{name} {precision}: steps one by one differ by {noise:.1e}, recorded ones by {apart:.1e}")
    if noise == 0:
        assert numbers(graphed) == numbers(plain)
        assert apart == 0
    else:
        assert apart < max(10 * noise, 1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
@pytest.mark.parametrize("average", ["ema", "swa", "lookahead"])
def test_every_recipe_is_recorded(optimizer: str, average: str) -> None:
    """With augmentation that mixes labels, a schedule that changes the momentum, and a smaller last batch.

    Muon's iteration in bfloat16 makes differences of 1e-7 between gradients to .7 % of the weights (tried on a CPU).
    """
    fields: dict[str, Any] = {
        "optimizer": {"name": optimizer},
        "averaging": {"name": average},
        "schedule": {"name": "onecycle", "cycle_momentum": optimizer != "sgd"},
        "augment": ["flip", "crop", "mixup"],
        "batch_size": 24,
    }
    noise = assert_recorded_is_as_close("simple_cnn", **fields)
    print(f"{average} {optimizer}: steps one by one differ by {noise:.1e}")


def test_the_recipe_of_the_speed_records_is_recorded() -> None:
    """With frozen whitening filters and scales, which have no gradient, and groups of parameters."""
    options: dict[str, Any] = {
        **{"stage_layers": 2, "early_pooling": True, "pooling": "max", "norm": "batch_unscaled"},
        **{"global_pooling": True, "whitening": "2x2", "initialization": "dirac"},
    }
    fields: dict[str, Any] = {
        "options": options,
        "optimizer": {"name": "sgd", "lr": 0.02, "momentum": 0.85, "decay": "weights", "bias_lr_factor": 8},
        "averaging": {"name": "lookahead"},
        "augment": ["alternating_flip", "crop"],
        "batch_size": 24,
    }
    assert_recorded_is_as_close("classifier", **fields)


def test_a_graph_is_recorded_for_each_size_of_images() -> None:
    fields: dict[str, Any] = {
        "options": {"cnn_layers": 2, "pooling": "max", "global_pooling": True},
        "progressive_size": {"start": 0.5, "until": 0.5},
        "batch_size": 24,
        "epochs": 4,
    }
    assert_recorded_is_as_close("classifier", **fields)


def assert_recorded_is_as_close(model: str, **fields: Any) -> float:
    """A training by a graph is not much further from one by single steps than another of those, whose distance this is."""
    plain, again = one_by_one(model, **fields), one_by_one(model, **fields)
    train(plain)
    train(again)
    graphed = recorded(by_graph(model, **fields))
    noise = distance(again.model, plain.model)
    assert distance(graphed.model, plain.model) < max(10 * noise, 1e-3)
    return noise


def test_a_training_continues_from_a_state_with_its_graph() -> None:
    fields: dict[str, Any] = {"batch_size": 24, "epochs": 3}
    whole, begun, other = (by_graph("mnist_cnn", **fields) for _ in range(3))
    recorded(whole)
    begun.run_epoch()
    other.run_epoch()
    other.run_epoch()  # its graph exists, and is used with the weights that are loaded
    other.load(begun.state())
    assert numbers(recorded(other)) == numbers(whole)


def test_a_model_that_waits_for_the_gpu_is_not_recorded() -> None:
    training, plain = by_graph("simple_cnn", batch_size=24), one_by_one("simple_cnn", batch_size=24)
    own = training.model.forward
    training.model.forward = lambda images: own(images) * (1.0 if float(images.sum()) > -1e9 else 2.0)
    train(training)
    train(plain)
    assert training._graphed is not None
    assert "waits" in training._graphed.reason
    assert training._graphed._graph is None
    assert distance(training.model, plain.model) < 1e-3


def test_a_recorded_epoch_is_faster() -> None:
    seconds = []
    for training in (one_by_one("mnist_cnn", batch_size=4), by_graph("mnist_cnn", batch_size=4)):
        training.run_epoch()
        torch.cuda.synchronize()
        started = time.perf_counter()
        training.run_epoch()
        seconds.append(time.perf_counter() - started)
    print(f"mnist_cnn, 130 steps: {seconds[0]:.3f} s one by one, {seconds[1]:.3f} s recorded")
    assert seconds[1] < seconds[0]
