"""Muon against torch's own where that works, and as its definition says where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tune.optim.muon import Muon, orthogonal, split_parameters
from tune.training import train

from .conftest import Start


@pytest.mark.parametrize("shape", [(5, 5), (3, 40), (40, 3), (1, 7), (128, 300)])
def test_orthogonal_brings_singular_values_near_one_and_keeps_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    given = left @ torch.diag(torch.linspace(0.2, 3, min(shape))) @ right
    result = orthogonal(given)
    cores = left.T @ result @ right.T
    assert result.shape == shape
    assert torch.diag(cores).min() > 0.6
    assert torch.diag(cores).max() < 1.25
    torch.testing.assert_close(cores, torch.diag(torch.diag(cores)), atol=1e-4, rtol=0)
    torch.testing.assert_close(orthogonal(1e6 * given), result, atol=1e-4, rtol=0)  # whatever the gradient's size


def newton_schulz(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Five steps of the quintic iteration, as published, in float64."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("rank", [1, 3, 20])
@pytest.mark.parametrize("shape", [(20, 20), (20, 39), (20, 40), (300, 20)])
def test_orthogonal_is_the_published_iteration(shape: tuple[int, int], rank: int) -> None:
    """Also of matrices that are close to a lower rank, as gradients are."""
    random = np.random.default_rng(0)
    left, right = random.normal(size=(shape[0], rank)), random.normal(size=(rank, shape[1]))
    matrix = left @ right + 1e-5 * random.normal(size=shape)
    wide = matrix if shape[0] <= shape[1] else matrix.T
    expected = newton_schulz(wide)
    result = orthogonal(torch.from_numpy(matrix).float()).numpy()
    np.testing.assert_allclose(result if wide is matrix else result.T, expected, atol=2e-3)


def test_no_gradient_is_no_direction() -> None:
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3))


def test_hidden_matrices_are_all_but_the_last() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 6), nn.Linear(6, 2))
    matrices, others = split_parameters(model)
    assert [tuple(matrix.shape) for matrix in matrices] == [(4, 1, 3, 3), (6, 16)]
    assert [tuple(other.shape) for other in others] == [(4,), (4,), (4,), (6,), (2, 6), (2,)]


def test_steps_are_those_of_torch_but_for_its_bfloat16() -> None:
    ours, theirs = network(), network()
    recipe: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.1}
    muon = Muon(ours, momentum=0.9, **recipe)
    matrices, others = split_parameters(theirs)
    reference = torch.optim.Muon(matrices, momentum=0.9, adjust_lr_fn="match_rms_adamw", **recipe)
    rest = torch.optim.AdamW(others, **recipe)
    for _ in range(5):
        gradients = [torch.randn_like(parameter) for parameter in ours.parameters()]
        for model in (ours, theirs):
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.grad = gradient.clone()
        muon.step()
        reference.step()  # type: ignore[no-untyped-call]
        rest.step()
    hidden = {id(matrix) for matrix in split_parameters(ours)[0]}
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=5e-4 if id(one) in hidden else 0, rtol=0)


def test_a_convolution_is_a_matrix_of_its_output_channels_whatever_its_layout() -> None:
    torch.manual_seed(0)
    start, gradient = torch.randn(6, 3, 3, 3), torch.randn(6, 3, 3, 3)
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        conv = nn.Conv2d(3, 6, 3, bias=False)
        model = nn.Sequential(conv, nn.Flatten(), nn.Linear(6, 2))
        conv.weight.data = start.clone(memory_format=layout)
        conv.weight.grad = gradient.clone(memory_format=layout)
        Muon(model, lr=0.1, weight_decay=0.0, momentum=0.0).step()
        moved.append((start - conv.weight.detach()).contiguous())
    expected = 0.1 * 0.2 * 27**0.5 * orthogonal(gradient.reshape(6, 27)).view(6, 3, 3, 3)
    torch.testing.assert_close(moved[0], expected)
    torch.testing.assert_close(moved[1], expected)


def test_a_network_without_hidden_matrices_is_trained_by_adamw(start: Start) -> None:
    muon, adamw = (start(optimizer={"name": name, "lr": 0.01, "weight_decay": 0.1}) for name in ("muon", "adamw"))
    train(muon)
    train(adamw)
    values = [[metrics.values["val_loss"] for metrics in training.history] for training in (muon, adamw)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_learns(start: Start, precision: str) -> None:
    training = start(
        model={"name": "simple_cnn", "conv_channels": [8, 16], "hidden_dim": 32},
        data={"train_limit": None, "validation_fraction": 0.2},
        epochs=8,
        optimizer={"name": "muon", "lr": 1e-2},
        schedule={"name": "cosine", "per_batch": True, "warmup_epochs": 1},
        averaging={"name": "ema", "decay": 0.98},
        precision=precision,
    )
    train(training)
    assert training.best is not None
    assert training.best.values["val_accuracy"] > 0.95
