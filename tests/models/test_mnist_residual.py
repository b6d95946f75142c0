"""The deeper network below 5,000 parameters: its layers, its parameters by hand, its connections."""

import pytest
import torch
from torch import nn

import models
from models.blocks import Residual

SHAPE = (1, 28, 28)


def separable(in_channels: int, out_channels: int) -> int:
    """Parameters of a depthwise 3 x 3 convolution, a 1 x 1 convolution and a batch norm."""
    return 9 * in_channels + in_channels * out_channels + 2 * out_channels


def test_count_by_hand() -> None:
    first = 9 * 8 + 2 * 8
    stages = (
        separable(8, 16)
        + (separable(16, 16) + 3 * separable(16, 16))
        + (separable(16, 24) + 2 * separable(24, 24))
    )  # fmt: skip
    whole_map = 24 * 3 * 3 + 2 * 24
    assert models.cost_of("mnist_residual", SHAPE, 10).parameters == first + stages + whole_map + 24 * 10 + 10 == 4_818


def test_every_option_counts() -> None:
    given = {
        "starting_channels": 5, "first_channels": 6, "middle_channels": 7, "final_channels": 9,
        "first_layers": 2, "middle_layers": 1, "final_layers": 4,
    }  # fmt: skip
    first = 9 * 3 * 5 + 2 * 5
    stages = separable(5, 6) + separable(6, 6) + separable(6, 7) + separable(7, 9) + 3 * separable(9, 9)
    whole_map = 9 * 5 * 2 + 2 * 9
    assert (
        models.cost_of("mnist_residual", (3, 40, 17), 4, **given).parameters == first + stages + whole_map + 9 * 4 + 4
    )


@pytest.mark.parametrize(("side", "shapes"), [(28, [28, 14, 7, 3]), (33, [33, 16, 8, 4]), (8, [8, 4, 2, 1])])
def test_each_pooling_halves_and_the_last_convolution_takes_what_is_left(side: int, shapes: list[int]) -> None:
    model = models.build("mnist_residual", (1, side, side), 10)
    x, seen, kernels = torch.randn(2, 1, side, side), [side], []
    for layer in model.children():
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            seen.append(x.shape[-1])
        elif isinstance(layer, nn.Conv2d):
            kernels.append(layer.kernel_size)
    assert seen == shapes
    assert kernels[-1] == (shapes[-1], shapes[-1])
    assert x.shape == (2, 10)


def test_only_further_layers_are_added_to_their_input() -> None:
    layers = {"first_layers": 2, "middle_layers": 3, "final_layers": 1}
    model = models.build("mnist_residual", SHAPE, 10, **layers)
    residuals = [module for module in model.modules() if isinstance(module, Residual)]
    assert len(residuals) == sum(layers.values()) - 3
    norms = [module for residual in residuals for module in residual.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:  # bodies that give silu(0) = 0 leave their input as it is
        nn.init.zeros_(norm.weight)
    x = torch.randn(2, 16, 14, 14)
    assert len(norms) == 3
    assert all(torch.equal(residual(x), x) for residual in residuals)


def test_an_image_too_small_is_refused() -> None:
    with pytest.raises(
        models.ModelError, match=r"^mnist_residual: images must be at least 8 x 8 pixels \(got 7 x 28\)"
    ):
        models.build("mnist_residual", (1, 7, 28), 10)
