"""The same experiment gives the same numbers, bit for bit, whatever ran before and wherever it was interrupted."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tune.training.recipes import AVERAGES, SCHEDULES
from tune.training import End, Training, load, save, train

from .conftest import Start

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
    "adam": {"name": "adam", "lr": 1e-3, "amsgrad": True},
    "adamw": {"name": "adamw", "lr": 1e-3, "weight_decay": 1e-2},
    "muon": {"name": "muon", "lr": 1e-3, "weight_decay": 1e-2},
}
MODELS: dict[str, dict[str, Any]] = {
    "classifier": {  # fractional pooling and dropout: both draw from the global generator
        "name": "classifier", "starting_channels": 4, "final_channels": 8, "cnn_layers": 2, "fcn_layers": 2,
        "dropout": 0.2,
    },
    "mnist_cnn": {"name": "mnist_cnn"},
    "simple_cnn": {"name": "simple_cnn", "conv_channels": [4, 8], "hidden_dim": 16},  # channels last
}  # fmt: skip
PRECISIONS = ("float32", "bfloat16", "float16")
COMBINATIONS = [
    (
        tuple(MODELS)[(i + j + 2 * k) % 3],
        optimizer,
        schedule,
        PRECISIONS[(i + 2 * j + k + k // 3 + j // 2) % 3],
        tuple(AVERAGES)[(i + j + k) % 4],
    )
    for i in range(3)
    for j, optimizer in enumerate(OPTIMIZERS)
    for k, schedule in enumerate(SCHEDULES)
]
"""Every optimizer with every schedule on each model; precisions and averages take turns."""
ALWAYS = COMBINATIONS[:24]
"""Every optimizer with every schedule once, so that each pair of values of any two parts is among them. The others are
slow.
"""


def numbers(training: Training) -> list[dict[str, float]]:
    """The history without the seconds."""
    return [{k: v for k, v in metrics.to_dict().items() if k != "seconds"} for metrics in training.history]


def equal(one: dict[str, Tensor] | None, other: dict[str, Tensor] | None) -> bool:
    assert one is not None
    assert other is not None
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_combinations_cover_every_pair() -> None:
    assert len(set(COMBINATIONS)) == 3 * 4 * 6
    assert len({(model, optimizer, schedule) for model, optimizer, schedule, *_ in COMBINATIONS}) == 3 * 4 * 6
    assert len(ALWAYS) == 4 * 6
    for one, other in itertools.combinations(range(5), 2):
        values = ({row[part] for row in COMBINATIONS} for part in (one, other))
        assert {(row[one], row[other]) for row in ALWAYS} == set(itertools.product(*values))


@pytest.mark.parametrize(
    ("model", "optimizer", "schedule", "precision", "average"),
    [pytest.param(*row, marks=[] if row in ALWAYS else pytest.mark.slow) for row in COMBINATIONS],
)
def test_a_training_resumed_from_a_file_equals_one_never_stopped(
    start: Start, tmp_path: Path, model: str, optimizer: str, schedule: str, precision: str, average: str
) -> None:
    fields: dict[str, Any] = {
        "model": MODELS[model],
        "optimizer": OPTIMIZERS[optimizer],
        "schedule": {"name": schedule, **SCHEDULES[schedule]},
        "precision": precision,
        "averaging": {"name": average, **AVERAGES[average]},
        "clip_norm": 1.0,
        "epochs": 3,
        "data": {"augment": ["flip", "crop"]},
    }
    undisturbed, interrupted, resumed = start(**fields), start(**fields), start(**fields)
    train(undisturbed)
    stop = 1 + COMBINATIONS.index((model, optimizer, schedule, precision, average)) % 2
    for _ in range(stop):
        interrupted.run_epoch()
    save(tmp_path / "last.pt", interrupted.state())
    resumed.load(load(tmp_path / "last.pt"))
    assert train(resumed) is End.EPOCHS
    assert numbers(resumed) == numbers(undisturbed)
    assert equal(resumed.model.state_dict(), undisturbed.model.state_dict())
    assert equal(resumed.best_weights, undisturbed.best_weights)
    assert resumed.best == resumed.history[undisturbed.history.index(undisturbed.best)]  # type: ignore[arg-type]


def relaid(tree: Any, layout: torch.memory_format) -> Any:
    """A state with its images and kernels in a memory format."""
    if isinstance(tree, Tensor):
        return tree.contiguous(memory_format=layout) if tree.ndim == 4 else tree
    if isinstance(tree, dict):
        return {name: relaid(value, layout) for name, value in tree.items()}
    return [relaid(value, layout) for value in tree] if isinstance(tree, list) else tree


@pytest.mark.parametrize("average", ["ema", "swa"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", ["simple_cnn", "classifier"])
def test_a_state_in_another_memory_format_is_continued_alike(
    start: Start, tmp_path: Path, model: str, optimizer: str, average: str
) -> None:
    """A GPU's is contiguous where the CPU's has channels last: a training that moves to the other continues with it."""
    fields: dict[str, Any] = {
        "model": MODELS[model],
        "optimizer": OPTIMIZERS[optimizer],
        "averaging": {"name": average, **AVERAGES[average]},
        "epochs": 3,
    }
    whole, begun, moved = start(**fields), start(**fields), start(**fields)
    train(whole)
    begun.run_epoch()
    save(tmp_path / "last.pt", begun.state())
    other = torch.contiguous_format if begun._layout is torch.channels_last else torch.channels_last
    state = relaid(load(tmp_path / "last.pt"), other)
    kernels = [value for value in state["model"].values() if value.ndim == 4 and min(value.shape) > 1]
    assert kernels
    assert not any(kernel.is_contiguous(memory_format=begun._layout) for kernel in kernels)
    moved.load(state)
    for parameter, values in moved._optimizer_step.optimizer.state.items():
        laid = {value.stride() for value in values.values() if value.shape == parameter.shape}
        assert laid == {parameter.stride()}
    train(moved)
    assert numbers(moved) == numbers(whole)
    assert equal(moved.best_weights, whole.best_weights)


@pytest.mark.parametrize(("precision", "average"), [("float32", "swa"), ("bfloat16", "ema"), ("float16", "none")])
def test_a_vae_resumed_from_a_file_equals_one_never_stopped(
    start: Start, tmp_path: Path, precision: str, average: str
) -> None:
    """Draws of the posterior are chance, too: in training, in validation, and where batch statistics are made anew."""
    fields: dict[str, Any] = {
        "model": {"name": "vae", "cnn_layers": 2, "starting_channels": 8, "final_channels": 12, "latent_dim": 3},
        "precision": precision,
        "averaging": {"name": average, **AVERAGES[average]},
        "beta": 0.2,
        "epochs": 3,
    }
    undisturbed, interrupted, resumed = start(**fields), start(**fields), start(**fields)
    train(undisturbed)
    interrupted.run_epoch()
    torch.rand(5)  # whatever else runs in the process
    save(tmp_path / "last.pt", interrupted.state())
    resumed.load(load(tmp_path / "last.pt"))
    train(resumed)
    assert numbers(resumed) == numbers(undisturbed)
    assert equal(resumed.best_weights, undisturbed.best_weights)


def test_a_state_is_a_copy_both_ways(start: Start) -> None:
    training, other = start(optimizer=OPTIMIZERS["sgd"]), start(optimizer=OPTIMIZERS["sgd"])
    training.run_epoch()
    state = training.state()
    frozen = {name: tensor.clone() for name, tensor in state["model"].items()}
    momentum = state["optimizer"]["state"][0]["momentum_buffer"].clone()
    training.run_epoch()
    other.load(state)
    other.run_epoch()
    assert equal(state["model"], frozen)
    assert torch.equal(state["optimizer"]["state"][0]["momentum_buffer"], momentum)
    assert numbers(other) == numbers(training)


def test_two_trainings_taking_turns_equal_the_same_two_alone(start: Start) -> None:
    both: list[dict[str, Any]] = [{"model": MODELS["classifier"]}, {"model": MODELS["mnist_cnn"], "seed": 1}]
    alone = [start(**fields) for fields in both]
    for training in alone:
        train(training)
    turns = [start(**fields) for fields in both]
    for _ in range(4):
        for training in turns:
            torch.rand(7)  # whatever else runs in the process
            training.run_epoch()
    assert [numbers(training) for training in turns] == [numbers(training) for training in alone]


def test_the_seed_decides(start: Start) -> None:
    runs = [start(model=MODELS["mnist_cnn"], seed=seed, epochs=1) for seed in (0, 0, 1)]
    first, again, other = ([train(run), numbers(run)][1] for run in runs)
    assert first == again
    assert first != other


def test_every_epoch_draws_anew(start: Start) -> None:
    training = start(optimizer={"name": "sgd", "lr": 1e-30}, model=MODELS["mnist_cnn"])  # nothing is learnt
    train(training)
    assert len({metrics.values["train_loss"] for metrics in training.history}) == 4  # dropout differs
    assert len({metrics.values["val_loss"] for metrics in training.history}) == 1


def test_nothing_global_is_left_changed(start: Start) -> None:
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    training = start(model=MODELS["classifier"], threads=2, precision="bfloat16")
    training.run_epoch()
    assert training.threads == 2
    assert torch.get_num_threads() == 1
    assert not torch.is_autocast_enabled("cpu")
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # type: ignore[index]


def test_the_thread_count_is_restored_when_an_epoch_fails(start: Start) -> None:
    training = start(options={"threads": 2})
    training.model.forward = lambda images: 1 / 0
    with pytest.raises(ZeroDivisionError):
        training.run_epoch()
    assert torch.get_num_threads() == 1


def test_a_state_may_be_continued_for_more_epochs_than_it_was_made_for(start: Start) -> None:
    short, long, whole = start(options={"epochs": 2}), start(), start()
    assert train(short) is End.EPOCHS
    long.load(short.state())
    assert long.end is None
    train(long)
    train(whole)
    assert numbers(long) == numbers(whole)
