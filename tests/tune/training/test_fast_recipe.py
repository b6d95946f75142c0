"""What the speed records found, against plain references: groups of parameters, lookahead, whitening, flips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from tests.tune.training.recipes import SCHEDULES
from tune.spec.recipe import TrainingSpec
from tune.training import Training, fingerprint, load, save, stream_seed, train
from tune.training.optimizer import build_optimizer

from .conftest import Make, Start
from .test_exactness import equal, numbers

CPU = torch.device("cpu")
NORMED = {"name": "classifier", "starting_channels": 4, "final_channels": 8, "cnn_layers": 2, "fcn_layers": 1}
FAST = {
    **{**NORMED, "stage_layers": 2, "early_pooling": True, "pooling": "max", "norm": "batch_unscaled"},
    **{"global_pooling": True, "whitening": "2x2", "initialization": "dirac"},
}
RATES = {"bias_lr_factor": 16, "decay": "weights"}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(3), nn.LayerNorm(3))


def built(**optimizer: Any) -> tuple[nn.Sequential, torch.optim.Optimizer]:
    model = network()
    model(torch.randn(2, 1, 6, 6))
    spec = TrainingSpec.model_validate({"optimizer": {"lr": 0.1, "weight_decay": 0.01, **optimizer}})
    return model, build_optimizer(spec.optimizer, model, CPU)


def settings(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each parameter."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_rates_and_decay_of_each_parameter(name: str) -> None:
    plain, fast, rate, decay = (0.1, 0.01), (pytest.approx(1.6), 0.0), (pytest.approx(1.6), 0.01), (0.1, 0.0)
    kinds = ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias", "4.weight", "4.bias"]
    assert settings(*built(name=name)) == dict.fromkeys(kinds, plain)
    assert settings(*built(name=name, bias_lr_factor=16)) == {
        k: rate if k in ("1.bias", "4.bias") else plain for k in kinds
    }
    weights = {k: plain if k in ("0.weight", "3.weight") else decay for k in kinds}
    assert settings(*built(name=name, decay="weights")) == weights
    assert settings(*built(name=name, **RATES)) == {**weights, "1.bias": fast, "4.bias": fast}


def test_by_default_there_is_the_one_group_of_before() -> None:
    model, optimizer = built(name="sgd", momentum=0.9)
    assert len(optimizer.param_groups) == 1
    assert all(a is b for a, b in zip(optimizer.param_groups[0]["params"], model.parameters(), strict=True))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("average", [{"name": "none"}, {"name": "swa", "start": 0.34, "lr": 1e-3, "anneal_epochs": 2}])
def test_every_schedule_keeps_the_ratio(start: Start, name: str, average: dict[str, Any]) -> None:
    schedule = {"name": name, **SCHEDULES[name], **({"min_lr": 0.03} if name == "plateau" else {})}
    options: dict[str, Any] = {"model": NORMED, "schedule": schedule, "averaging": average, "epochs": 3}
    if name == "onecycle":
        schedule["cycle_momentum"] = False
    plain = start(**options, optimizer={"name": "sgd", "lr": 0.05})
    divided = start(**options, optimizer={"name": "sgd", "lr": 0.05, **RATES})
    groups = divided._optimizer_step.optimizer.param_groups
    told: list[list[float]] = []
    train(divided, on_step=lambda *step: told.append([group["lr"] for group in groups]))
    train(plain)
    assert len(told) == 3 * 4
    for first, *others in told:
        assert others == pytest.approx([first, 16 * first])
    if name != "plateau":  # which looks at losses
        assert [metrics.lr for metrics in divided.history] == [metrics.lr for metrics in plain.history]


def test_a_step_of_sgd_by_hand(start: Start) -> None:
    training = start(model=NORMED, optimizer={"name": "sgd", "lr": 0.1, "weight_decay": 0.5, **RATES}, epochs=1)
    before = {name: value.detach().clone() for name, value in training.model.named_parameters()}
    images, labels = next(training._batches.of(1))
    training.model.train()
    training._step(images, labels)
    norms = {name for name, module in training.model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for name, value in training.model.named_parameters():
        module, _, kind = name.rpartition(".")
        rate = 1.6 if module in norms and kind == "bias" else 0.1
        decayed = 0.5 * before[name] if value.ndim > 1 else 0.0
        assert value.grad is not None
        torch.testing.assert_close(value.detach(), before[name] - rate * (value.grad + decayed), rtol=1e-5, atol=1e-6)


# -- lookahead


def test_lookahead_by_hand(start: Start) -> None:
    """Between two moves of the slow weights, plain SGD; at each, `slow += alpha (fast - slow)`, and fast is slow."""
    recipe = {"optimizer": {"name": "sgd", "lr": 0.3}, "epochs": 2}
    training, plain = start(**recipe, averaging={"name": "lookahead", "every": 3, "alpha": 0.8}), start(**recipe)
    slow = {name: value.detach().clone() for name, value in plain.model.named_parameters()}
    taken = 0
    for epoch in (1, 2):
        for images, labels in plain._batches.of(epoch):
            plain._step(images, labels)
            taken += 1
            if taken % 3 == 0:
                with torch.no_grad():
                    for name, fast in plain.model.named_parameters():
                        slow[name] = slow[name] + 0.8 * (fast - slow[name])
                        fast.copy_(slow[name])
    train(training)
    assert taken == 8
    for name, value in training.model.named_parameters():
        torch.testing.assert_close(value, plain.model.get_parameter(name), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(training._averaging.model.get_parameter(name), slow[name], rtol=1e-5, atol=1e-6)
    assert training.best_weights is not None
    kept = training._averaging.model.state_dict()
    assert training.best is not training.history[-1] or equal(training.best_weights, kept)


def test_before_the_slow_weights_move_the_model_itself_is_judged(start: Start) -> None:
    training, plain = start(averaging={"name": "lookahead", "every": 6}, epochs=2), start(epochs=2)
    first = training.run_epoch()
    assert first.values == plain.run_epoch().values
    assert training._averaging.model is training.model
    training.run_epoch()
    assert training._averaging.model is not training.model


# -- whitening and flips


def test_whitening_filters_are_those_of_training_images_as_they_are_normalized(start: Start) -> None:
    training = start(model=FAST, data={"normalize": "dataset"})
    layer = training.model.get_submodule("whitening")
    assert isinstance(layer, models.Whitening)
    images = torch.cat([images for images, _ in training.splits.train.batches(50)])
    expected = models.Whitening(1, 2)
    expected.fit(images)
    torch.testing.assert_close(layer.weight.abs(), expected.weight.abs(), rtol=1e-3, atol=1e-4)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    train(training)
    assert torch.equal(layer.weight, before["weight"])
    assert layer.bias is not None
    assert not torch.equal(layer.bias, before["bias"])


@pytest.mark.parametrize(("precision", "optimizer"), [("float32", "sgd"), ("float16", "sgd"), ("bfloat16", "muon")])
def test_the_whole_recipe_is_resumed_bitwise(start: Start, tmp_path: Path, precision: str, optimizer: str) -> None:
    fields: dict[str, Any] = {
        "model": FAST,
        "data": {"augment": ["alternating_flip", "crop"]},
        "optimizer": {"name": optimizer, "lr": 0.01, "momentum": 0.85, "weight_decay": 1e-3, **RATES},
        "schedule": {"name": "onecycle"},
        "averaging": {"name": "lookahead", "every": 3},
        "precision": precision,
    }
    whole, begun, resumed = start(**fields), start(**fields), start(**fields)
    train(whole)
    begun.run_epoch()
    save(tmp_path / "last.pt", begun.state())
    resumed.load(load(tmp_path / "last.pt"))
    train(resumed)
    assert numbers(resumed) == numbers(whole)
    assert equal(resumed.model.state_dict(), whole.model.state_dict())
    assert equal(resumed.best_weights, whole.best_weights)


def shown(training: Training, epoch: int) -> dict[int, Tensor]:
    """The images of an epoch by their places."""
    generator = torch.Generator().manual_seed(stream_seed(training.experiment.seed, "batches", epoch))
    places = torch.randperm(len(training.splits.train), generator=generator).tolist()
    images = torch.cat([images for images, _ in training._batches.of(epoch)])
    return dict(zip(places, images, strict=True))


def test_two_epochs_show_both_sides_of_every_image(start: Start) -> None:
    training = start(data={"augment": ["alternating_flip"]})
    epochs = [shown(training, epoch) for epoch in (1, 2, 3)]
    plain = shown(start(), 1)
    mirrored = 0
    for place, image in plain.items():
        first, second, third = (epoch[place] for epoch in epochs)
        assert torch.equal(second, first.flip(-1))
        assert torch.equal(third, first)
        assert torch.equal(first, image) or torch.equal(first, image.flip(-1))
        mirrored += not torch.equal(first, image)
    assert 30 < mirrored < 70  # of 100, about half
    other = shown(start(data={"augment": ["alternating_flip"]}, seed=1), 1)
    assert any(not torch.equal(other[place], image) for place, image in epochs[0].items())


def test_new_fields_at_their_defaults_change_no_fingerprint(make: Make) -> None:
    spelled = make(
        model={**NORMED, "whitening": "none", "initialization": "default", "stage_layers": 1, "final_size": 2},
        optimizer={"bias_lr_factor": 1.0, "decay": "all"},
        averaging={"name": "none", "every": 5, "alpha": 0.5},
    )
    assert fingerprint(spelled) == fingerprint(make(model=NORMED))
    assert fingerprint(make(model={**NORMED, "whitening": "2x2"})) != fingerprint(make(model=NORMED))
