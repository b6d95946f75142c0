"""Trainings on a GPU: they learn, continue where they stopped, agree with the CPU, and never wait within an epoch."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import models
from data import augmentation
from tests.gpu.trainings import CPU, GPU, distance, experiment, no_waiting, numbers, splits_on, start
from tests.tune.training.recipes import AVERAGES, SCHEDULES
from tune.training import End, Training, load, save, train
from tune.training.metrics import Sums

PRECISIONS = ("float32", "bfloat16", "float16")
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.02, "momentum": 0.9, "nesterov": True},
    "adam": {"lr": 1e-3, "amsgrad": True},
    "adamw": {"lr": 1e-3, "weight_decay": 1e-2},
    "muon": {"lr": 1e-3, "weight_decay": 1e-2},
}
# Without chance inside, so that CPU and GPU compute the same but for rounding.
CERTAIN = ("mnist_mlr", "simple_cnn", "tiny_vgg", "mnist_v0", "mnist_v3", "mini_resnet")


def loss(training: Training, epoch: int = -1) -> float:
    return training.history[epoch].values["val_loss"]


def recipes() -> list[dict[str, Any]]:
    """Every pair of an optimizer and an average; schedules and precisions take turns."""
    rows = []
    for number, (optimizer, average) in enumerate(itertools.product(OPTIMIZERS, AVERAGES)):
        schedule = tuple(SCHEDULES)[number % len(SCHEDULES)]
        rows.append(
            {
                "optimizer": {"name": optimizer, **OPTIMIZERS[optimizer]},
                "averaging": {"name": average, **AVERAGES[average]},
                "schedule": {"name": schedule, **SCHEDULES[schedule]},
                "precision": PRECISIONS[(number + number // 3) % 3],
                "clip_norm": 1.0,
            }
        )
    return rows


def named(recipe: dict[str, Any]) -> str:
    return "-".join([recipe[part]["name"] for part in ("optimizer", "averaging", "schedule")] + [recipe["precision"]])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", models.names())
def test_every_model_learns(name: str, precision: str) -> None:
    training = start(GPU, name, precision=precision, optimizer={"name": "adam", "lr": 2e-3})
    assert train(training) is End.EPOCHS
    assert {p.device.type for p in training.model.parameters()} == {"cuda"}
    assert {p.dtype for p in training.model.parameters()} == {torch.float32}
    assert all(metrics.finite for metrics in training.history)
    losses = [metrics.values["train_loss"] for metrics in training.history]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("recipe", recipes(), ids=named)
def test_no_step_waits_for_the_gpu(recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Within an epoch, from the drawing of its order to its sums; an epoch has more steps than checks of the loss."""
    if recipe["optimizer"]["name"] == "muon" and recipe["precision"] == "float16":
        pytest.skip("torch's gradient scaler asks whether to skip the step of an optimizer that is not fused")
    steps_of_an_epoch_do_not_wait(start(GPU, "classifier", batch_size=4, **recipe), monkeypatch)


@pytest.mark.parametrize("name", augmentation.names())
def test_no_augmentation_waits_for_the_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps_of_an_epoch_do_not_wait(start(GPU, "simple_cnn", splits_on(GPU), augment=[name]), monkeypatch)


def steps_of_an_epoch_do_not_wait(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    training.run_epoch()  # kernels are loaded, memory is reserved
    means, own, inside = Sums.means, training._train, []

    def measured(sums: Sums) -> dict[str, float]:
        inside.append(sums)
        torch.cuda.set_sync_debug_mode("default")
        return means(sums)

    def watched(*args: Any) -> Any:
        with no_waiting():
            return own(*args)

    monkeypatch.setattr(Sums, "means", measured)
    monkeypatch.setattr(training, "_train", watched)
    training.run_epoch()
    assert len(inside) == 2  # of training and validation


def test_a_copy_that_waits_would_be_noticed() -> None:
    with no_waiting(), pytest.raises(RuntimeError, match="synchroniz"):
        torch.zeros(1, device=GPU).item()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "name", ["mnist_cnn", "simple_cnn", "tiny_vgg", "classifier", "mnist_v3", "mini_resnet", "vae"]
)
def test_a_training_that_was_stopped_continues_as_if_it_was_not(
    name: str, precision: str, tmp_path: Path, record_property: Any
) -> None:
    """Bitwise where two trainings that were never stopped are equal bitwise, else as close as those are."""
    fields: dict[str, Any] = {"precision": precision, "augment": ["flip", "crop"], "averaging": {"name": "ema"}}
    whole, again, stopped, resumed = (start(GPU, name, **fields) for _ in range(4))
    train(whole)
    train(again)
    stopped.run_epoch()
    torch.rand(5, device=GPU)  # whatever else runs in the process
    save(tmp_path / "last.pt", stopped.state())
    resumed.load(load(tmp_path / "last.pt"))
    assert train(resumed) is End.EPOCHS
    noise, apart = distance(again.model, whole.model), distance(resumed.model, whole.model)
    record_property("noise of two trainings", noise)
    record_property("distance of the resumed one", apart)
    print(f"{name} {precision}: two trainings differ by {noise:.1e} of their weights, the resumed one by {apart:.1e}")
    if noise == 0:
        assert numbers(resumed) == numbers(whole)
        assert apart == 0
    else:
        assert apart < max(10 * noise, 1e-3)


@pytest.mark.parametrize("name", CERTAIN)
def test_a_gpu_computes_what_the_cpu_computes(name: str) -> None:
    """A few steps in float32; TF32 has 10 bits of mantissa."""
    fields: dict[str, Any] = {"optimizer": {"name": "sgd", "lr": 0.01}, "augment": ["flip", "crop"], "epochs": 1}
    here, there = start(CPU, name, **fields), start(GPU, name, **fields)
    train(here)
    train(there)
    for metric in ("train_loss", "val_loss"):
        assert there.history[0].values[metric] == pytest.approx(here.history[0].values[metric], rel=0.02)
    assert distance(there.model, here.model) < 0.01


@pytest.mark.parametrize("recipe", recipes(), ids=named)
def test_every_recipe_learns_and_is_close_to_the_cpu(recipe: dict[str, Any]) -> None:
    """Optimizers that divide by the size of a gradient turn rounding into steps, so that losses are compared."""
    here, there = start(CPU, "simple_cnn", **recipe), start(GPU, "simple_cnn", **recipe)
    before = here._validate(diverged=False)["val_loss"]
    train(here)
    train(there)
    assert loss(there) < before
    assert loss(there) == pytest.approx(loss(here), rel=0.1, abs=0.02)
    assert [metrics.lr for metrics in there.history] == pytest.approx([metrics.lr for metrics in here.history])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_optimizers_are_fused(name: str) -> None:
    optimizer = start(GPU, "mnist_mlr", optimizer={"name": name})._optimizer_step.optimizer
    assert [group["fused"] for group in optimizer.param_groups] == [True] * len(optimizer.param_groups)


@pytest.mark.parametrize(("first", "then"), [(GPU, CPU), (CPU, GPU)], ids=["to the CPU", "to the GPU"])
@pytest.mark.parametrize("recipe", recipes()[::2], ids=named)
def test_a_training_may_continue_on_another_device(
    first: torch.device, then: torch.device, recipe: dict[str, Any], tmp_path: Path
) -> None:
    begun, whole, moved = (start(device, "simple_cnn", **recipe) for device in (first, then, then))
    begun.run_epoch()
    save(tmp_path / "last.pt", begun.state())
    moved.load(load(tmp_path / "last.pt"))
    train(moved)
    train(whole)
    assert loss(moved) == pytest.approx(loss(whole), rel=0.1, abs=0.02)


def test_a_state_is_on_the_cpu_and_the_images_on_the_gpu() -> None:
    training = start(GPU, "classifier", averaging={"name": "ema"}, precision="float16")
    training.run_epoch()
    found: list[torch.Tensor] = []

    def walk(tree: Any) -> None:
        if isinstance(tree, torch.Tensor):
            found.append(tree)
        for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ():
            walk(value)

    walk(training.state())
    assert len(found) > 50
    assert {tensor.device.type for tensor in found} == {"cpu"}
    images, labels = next(training._batches.of(2))
    assert (images.device.type, labels.device.type) == ("cuda", "cuda")
    assert training.splits.train.images.dtype == torch.uint8


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_training_that_diverges_ends(precision: str) -> None:
    training = start(GPU, "mnist_mlr", precision=precision, batch_size=1, optimizer={"name": "sgd", "lr": 1e38})
    steps: list[int] = []
    training.run_epoch(lambda step, of, lr: steps.append(step))
    assert training.end is End.DIVERGED
    assert len(steps) <= 100  # of 520
    assert math.isnan(loss(training))


def test_what_torch_computes_with_is_settled_in_the_block_and_put_back() -> None:
    def flags() -> tuple[bool, bool, bool]:
        cudnn = torch.backends.cudnn
        return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark

    before, inside = flags(), set[tuple[bool, bool, bool]]()
    start(GPU, "simple_cnn").run_epoch(lambda *step: inside.add(flags()))
    assert inside == {(True, True, False)}
    assert flags() == before


def test_the_global_generators_are_left_as_they_were() -> None:
    torch.manual_seed(3)
    before = torch.cuda.get_rng_state(), torch.get_rng_state()
    start(GPU, "classifier").run_epoch()
    assert torch.equal(torch.cuda.get_rng_state(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_two_trainings_taking_turns_equal_the_same_two_alone() -> None:
    both: list[dict[str, Any]] = [{"model": "mnist_cnn"}, {"model": "mnist_mlr", "precision": "bfloat16"}]
    alone, turns = ([start(GPU, **fields) for fields in both] for _ in range(2))
    for training in alone:
        train(training)
    for _ in range(3):
        for training in turns:
            torch.rand(7, device=GPU)
            training.run_epoch()
    assert [numbers(training) for training in turns] == [numbers(training) for training in alone]


def test_an_experiment_says_nothing_of_the_device() -> None:
    assert start(CPU, "mnist_mlr").state()["experiment"] == start(GPU, "mnist_mlr").state()["experiment"]
    assert experiment("mnist_mlr").training.precision == "float32"
