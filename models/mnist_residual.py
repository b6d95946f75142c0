"""A deeper network with fewer than 5,000 parameters: separable convolutions with residual connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from models.blocks import Activation, Probability, Residual, Width, dropouts
from models.classifier_plan import Layers
from models.mnist_suite import conv


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
    """Build a 3 x 3 convolution, three stages of separable convolutions with pooling, and one over the whole map.

    The first convolution of a stage changes the channels; the others have residual connections (He et al. 2016, arXiv
    1512.03385). A separable convolution (depthwise, then 1 x 1: Howard et al. 2017, arXiv 1704.04861) has only
    9 C + C^2 + 2 C parameters for C channels. The last convolution is depthwise over the whole feature map (Chen et al.
    2018, arXiv 1804.07573): unlike an average, it weighs features by position. It grows with the image size. 4,818
    parameters on MNIST.

    Args:
        input_shape: (C, H, W) in pixels, both sides at least 8.
        classes: number of outputs.
        starting_channels: after the first convolution.
        first_channels: in the first stage.
        middle_channels: in the second stage.
        final_channels: in the third stage.
        first_layers: separable convolutions in the first stage.
        middle_layers: separable convolutions in the second stage.
        final_layers: separable convolutions in the third stage.
        activation: name of the activation.
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
