"""float16 with a gradient scaler: small gradients arrive, overflowing ones move nothing, and the scale is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tune.optim.optimizers import OPTIMIZERS
from tune.spec.recipe import TrainingSpec
from tune.training import load, save
from tune.training.optimizer import OptimizerStep

from .conftest import Start

CPU = torch.device("cpu")


def descent(optimizer: str | dict[str, Any] = "sgd", **fields: Any) -> tuple[nn.Sequential, OptimizerStep]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    chosen = {"name": optimizer, "lr": 0.5} if isinstance(optimizer, str) else optimizer
    tree = {"optimizer": chosen, "precision": "float16", **fields}
    return model, OptimizerStep(TrainingSpec.model_validate(tree), model, CPU)


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_that_overflows_moves_nothing_and_halves_the_scale(optimizer: str, clip_norm: float | None) -> None:
    model, down = descent(optimizer, clip_norm=clip_norm)
    before, images = weights(model), torch.ones(3, 4)
    down.step(model(images).sum() * 1e35)  # times 65,536 this is infinite
    assert all(torch.equal(one, other) for one, other in zip(weights(model), before, strict=True))
    assert down.state_dict()["scaler"]["scale"] == 2.0**15
    down.step(model(images).sum())
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert not torch.equal(weights(model)[0], before[0])


def test_momentum_begins_at_zero_where_the_first_step_is_skipped() -> None:
    """torch's fused SGD leaves it uninitialized there; without a step, the first one taken is the first."""
    recipe = {"name": "sgd", "lr": 0.5, "momentum": 0.9}
    (skipped, one), (plain, other) = descent(optimizer=recipe), descent(optimizer=recipe)
    one.step(skipped(torch.ones(3, 4)).sum() * 1e35)
    for model, down in ((skipped, one), (plain, other)):
        down.step(model(torch.ones(3, 4)).square().mean())
        down.step(model(torch.ones(3, 4)).square().mean())
    for a, b in zip(weights(skipped), weights(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_the_scale_is_not_felt(optimizer: str, clip_norm: float | None) -> None:
    (scaled, one), (plain, other) = (
        descent(optimizer, clip_norm=clip_norm, precision=precision) for precision in ("float16", "float32")
    )
    for _ in range(3):
        for model, down in ((scaled, one), (plain, other)):
            down.step(model(torch.ones(3, 4)).square().mean())
    for a, b in zip(weights(scaled), weights(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert other.state_dict()["scaler"] == {}


def test_gradients_below_float16_arrive() -> None:
    """Through a float16 network a gradient of 1e-8 is zero, unless the loss is scaled."""
    model, down = descent(clip_norm=1.0)  # which brings the gradients down before the step, for all to see
    with torch.autocast("cpu", dtype=torch.float16):
        outputs = model(torch.ones(1, 4))
    down.step(outputs.float().sum() * 1e-8)
    assert model[1].bias.grad is not None
    torch.testing.assert_close(model[1].bias.grad, torch.full((2,), 1e-8), rtol=1e-2, atol=0)


def test_the_scale_is_resumed(start: Start, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"model": {"name": "mnist_cnn"}, "precision": "float16"}
    first, second = start(**fields), start(**fields)
    first.run_epoch()
    first._optimizer_step._scaler.update(1024.0)  # as after overflows
    first.run_epoch()
    save(tmp_path / "x.pt", first.state())
    second.load(load(tmp_path / "x.pt"))
    scaler = second._optimizer_step.state_dict()["scaler"]
    assert (scaler["scale"], scaler["_growth_tracker"]) == (1024.0, 8)
    assert first.run_epoch().values == second.run_epoch().values


def test_float16_is_what_the_network_computes_in(start: Start) -> None:
    training = start(model={"name": "mnist_cnn"}, precision="float16", epochs=1)
    kinds: set[torch.dtype] = set()
    training.model.register_forward_hook(lambda module, images, outputs: kinds.add(outputs.dtype))
    training.run_epoch()
    assert kinds == {torch.float16}
    assert {parameter.dtype for parameter in training.model.parameters()} == {torch.float32}
