"""Learning rates as their formulas say, and the recipe's other words as a plain loop would do them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tune.spec.experiment import Experiment
from tune.training import Splits, Training, stream_seed, train
from tune.training.splits import steps_per_epoch

from .conftest import Make, Start

LR, EPOCHS, STEPS = 0.4, 6, 4  # 100 images in batches of 32: the last of 4


def onecycle(step: int, pct_start: float, div: float, final_div: float) -> float:
    """Smith & Topin 2018 with cosine annealing, as torch documents it; `step` counts from 0."""
    start, end, total = LR / div, LR / div / final_div, EPOCHS * STEPS
    peak = pct_start * total - 1

    def between(a: float, b: float, share: float) -> float:
        return b + (a - b) / 2 * (1 + math.cos(math.pi * share))

    if step <= peak:
        return between(start, LR, step / peak)
    return between(LR, end, (step - peak) / (total - 1 - peak))


FORMULAS: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {
    "constant": ({}, lambda epoch: LR),
    "step": ({"step_size": 2, "gamma": 0.5}, lambda epoch: LR * 0.5 ** ((epoch - 1) // 2)),
    "cosine": (
        {"min_lr": 0.1},
        lambda epoch: 0.1 + (LR - 0.1) / 2 * (1 + math.cos(math.pi * (epoch - 1) / EPOCHS)),
    ),
    "onecycle": (
        {"pct_start": 0.25, "div_factor": 5.0, "final_div_factor": 100.0},
        lambda epoch: onecycle(epoch * STEPS - 1, 0.25, 5.0, 100.0),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_learning_rate_of_each_epochs_last_step(start: Start, name: str, optimizer: str) -> None:
    options, formula = FORMULAS[name]
    training = start(epochs=EPOCHS, optimizer={"name": optimizer, "lr": LR}, schedule={"name": name, **options})
    train(training)
    assert [metrics.lr for metrics in training.history] == pytest.approx([formula(e) for e in range(1, EPOCHS + 1)])


def test_ending_early_does_not_bend_the_schedule(start: Start) -> None:
    whole, part = (
        start(epochs=EPOCHS, schedule={"name": "cosine"}, options={"epochs": epochs}) for epochs in (None, 3)
    )
    train(whole)
    train(part)
    assert [metrics.lr for metrics in part.history] == [metrics.lr for metrics in whole.history[:3]]


@pytest.mark.parametrize(("epochs", "batch_size", "pct_start"), [(1, 10, 0.1), (2, 50, 0.25), (5, 100, 0.2)])
def test_a_warm_up_of_one_step_starts_at_the_peak(start: Start, epochs: int, batch_size: int, pct_start: float) -> None:
    # torch's OneCycleLR divides by zero where pct_start times the number of steps is 1.
    training = start(
        epochs=epochs,
        batch_size=batch_size,
        optimizer={"lr": LR},
        schedule={"name": "onecycle", "pct_start": pct_start},
    )
    assert training._schedule.lr == pytest.approx(LR)
    train(training)
    assert training.history[-1].lr <= LR


def test_onecycle_leaves_the_momentum_that_the_experiment_states(start: Start) -> None:
    training = start(optimizer={"name": "sgd", "lr": LR, "momentum": 0.7}, schedule={"name": "onecycle"})
    training.run_epoch()
    assert training._optimizer_step.optimizer.param_groups[0]["momentum"] == 0.7


def smoothed_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Minus the sum over classes of target times log probability, by hand."""
    targets = torch.full_like(logits, smoothing / logits.shape[1])
    targets[torch.arange(len(labels)), labels] += 1 - smoothing
    return -(targets * logits.log_softmax(1)).sum(1).mean()


def clip_by_hand(parameters: list[nn.Parameter], norm: float) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = torch.sqrt(torch.stack([gradient.pow(2).sum() for gradient in gradients]).sum())
    for gradient in gradients:
        gradient.mul_(torch.clamp(norm / (total + 1e-6), max=1.0))


def plain_loop(experiment: Experiment, splits: Splits, model: nn.Module) -> list[dict[str, float]]:
    """What a tutorial would write: SGD with momentum by hand, over the images in the order of the epoch's seed."""
    spec, rows = experiment.training, []
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(parameter) for parameter in parameters]
    assert splits.train.index is not None
    for epoch in range(1, spec.epochs + 1):
        generator = torch.Generator().manual_seed(stream_seed(experiment.seed, "batches", epoch))
        order = splits.train.index[torch.randperm(len(splits.train), generator=generator)]
        loss_sum, correct = 0.0, 0
        for chosen in torch.split(order, spec.batch_size):
            images = (splits.train.images[chosen].float() / 255 - 0.5) / 0.5
            labels = splits.train.labels[chosen]
            logits = model(images)
            loss = smoothed_cross_entropy(logits, labels, spec.label_smoothing)
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = gradient
            if spec.clip_norm is not None:
                clip_by_hand(parameters, spec.clip_norm)
            with torch.no_grad():
                for parameter, velocity in zip(parameters, velocities, strict=True):
                    velocity.mul_(spec.optimizer.momentum or 0).add_(parameter.grad)  # type: ignore[arg-type]
                    parameter.sub_(spec.optimizer.lr * velocity)
            loss_sum += loss.item() * len(labels)
            correct += int((logits.argmax(1) == labels).sum())
        rows.append(
            {"train_loss": loss_sum / len(order), "train_accuracy": correct / len(order), **validate(splits, model)}
        )
    return rows


def validate(splits: Splits, model: nn.Module) -> dict[str, float]:
    assert splits.validation is not None
    index = splits.validation.index
    with torch.no_grad():
        logits = model((splits.validation.images[index].float() / 255 - 0.5) / 0.5)
    labels = splits.validation.labels[index]
    accuracy = (logits.argmax(1) == labels).double().mean()
    return {"val_loss": float(F.cross_entropy(logits, labels)), "val_accuracy": float(accuracy)}


@pytest.mark.parametrize("recipe", [{}, {"label_smoothing": 0.1}, {"clip_norm": 0.05}])
@pytest.mark.parametrize("model", ["mnist_mlr", "simple_cnn"])
def test_golden_the_same_numbers_as_a_plain_loop(
    make: Make, splits_of: Callable[[Experiment], Splits], model: str, recipe: dict[str, Any]
) -> None:
    options = {"conv_channels": [4, 8], "hidden_dim": 16, "dropout": 0.0} if model == "simple_cnn" else {}
    experiment = make(
        model={"name": model, **options}, optimizer={"name": "sgd", "lr": 0.05, "momentum": 0.9}, epochs=3, **recipe
    )
    splits = splits_of(experiment)
    training, reference = (Training(experiment, splits, device=torch.device("cpu")) for _ in range(2))
    train(training)
    expected = plain_loop(experiment, splits, reference.model.to(memory_format=torch.contiguous_format))
    for metrics, row in zip(training.history, expected, strict=True):
        assert metrics.values == pytest.approx(row, rel=1e-4)


@pytest.mark.parametrize(
    ("images", "batch_size", "steps"),
    [(100, 32, 4), (96, 32, 3), (97, 32, 3), (98, 32, 4), (1, 32, 1), (5, 1, 5), (32, 32, 1), (33, 32, 1)],
)
def test_a_last_batch_counts_unless_it_is_one_image(images: int, batch_size: int, steps: int) -> None:
    assert steps_per_epoch(images, batch_size) == steps


def test_batch_normalization_survives_one_image_left_over(start: Start) -> None:
    # 97 images in batches of 32; a single one on 1 x 1 features is what BatchNorm refuses.
    training = start(
        model={"name": "classifier", "starting_channels": 4, "final_channels": 8, "cnn_layers": 2},
        data={"train_limit": 97},
        epochs=1,
    )
    train(training)
    assert training.history[0].finite
