"""A deeper network below 5,000 parameters: separable convolutions with residual connections at 28, 14 and 7 pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from annotated_types import Ge, Le
from torch import nn

from models.blocks import Activation, Probability, Residual, Width, dropouts
from models.mnist_suite import conv

Layers = Annotated[int, Ge(1), Le(64)]


def mnist_residual(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: Width = 8,
    first_channels: Width = 16,
    middle_channels: Width = 16,
    final_channels: Width = 24,
    first_layers: Layers = 1,
    middle_layers: Layers = 4,
    final_layers: Layers = 3,
    activation: Activation = "silu",
    dropout: Probability = 0.0,
) -> nn.Sequential:
    """Build a 3 x 3 convolution, three stages of separable ones with a pooling after each, and one over the whole map.

    The first convolution of a stage changes the channels; each further one is added to its input (He et al. 2016,
    arXiv 1512.03385). Separable (a depthwise and a 1 x 1 convolution: Howard et al. 2017, arXiv 1704.04861), one costs
    9 C + C^2 + 2 C parameters for C channels, so that few parameters make many layers. The last convolution, depthwise
    over all that is left of the map (Chen et al. 2018, arXiv 1804.07573), weighs a feature by where it is, which an
    average forgets; larger images make it larger. 4,818 parameters on MNIST.

    Args:
        input_shape: (C, H, W) in pixels, both sides at least 8.
        classes: number of outputs.
        starting_channels: after the first convolution.
        first_channels: of the first stage, before the first pooling.
        middle_channels: of the second stage, before the second.
        final_channels: of the third stage, before the third.
        first_layers: separable convolutions of the first stage.
        middle_layers: those of the second.
        final_layers: those of the third.
        activation: its name, the same throughout.
        dropout: probability of dropping a feature before the linear layer.
    """
    _, height, width = input_shape

    def stage(in_channels: int, out_channels: int, layers: int) -> Iterator[nn.Module]:
        yield from conv(in_channels, out_channels, activation=activation, separable=True)
        for _ in range(layers - 1):
            yield Residual(nn.Sequential(*conv(out_channels, out_channels, activation=activation, separable=True)))

    return nn.Sequential(
        *conv(input_shape[0], starting_channels, activation=activation),
        *stage(starting_channels, first_channels, first_layers),
        nn.MaxPool2d(2),
        *stage(first_channels, middle_channels, middle_layers),
        nn.MaxPool2d(2),
        *stage(middle_channels, final_channels, final_layers),
        nn.MaxPool2d(2),
        nn.Conv2d(final_channels, final_channels, (height // 8, width // 8), groups=final_channels, bias=False),
        nn.BatchNorm2d(final_channels),
        nn.Flatten(),
        *dropouts(dropout),
        nn.Linear(final_channels, classes),
    )
