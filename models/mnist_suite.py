"""The lightweight MNIST networks: a few thousand parameters, convolutions without bias.

As published, all end in log_softmax. They are trained with cross entropy like all other classifiers: applied to
log-probabilities, it equals the negative log likelihood, since a second log_softmax changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from models.blocks import ACTIVATIONS, Activation, Probability, Width, channel_dropouts

# The shortest sides, in pixels, for which the published paddings and poolings leave at least one pixel.
V1_LEAST_SIDE = 28
SMALL_LEAST_SIDE = 12


def mnist_v0(input_shape: Sequence[int], classes: int) -> nn.Sequential:
    """Build five padded convolutions, global average pooling and a linear layer (18,214 parameters on MNIST)."""
    return nn.Sequential(
        *conv(input_shape[0], 4),
        *conv(4, 8),
        nn.MaxPool2d(2),
        *conv(8, 16),
        *conv(16, 32),
        nn.MaxPool2d(2),
        *conv(32, 40),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(40, classes),
        nn.LogSoftmax(dim=1),
    )


def mnist_v1(input_shape: Sequence[int], classes: int, *, dropout: Probability = 0.05) -> nn.Sequential:
    """Build the network without padding; its last convolution covers the whole 7 x 7 map (10,970 parameters on MNIST).

    For images above 29 pixels, the output of that convolution has several pixels, which are averaged.
    """
    _, height, width = input_shape
    return nn.Sequential(
        *conv(input_shape[0], 10, padding=0),
        *conv(10, 10, padding=0),
        *conv(10, 20, padding=0),
        *channel_dropouts(dropout),
        nn.MaxPool2d(2),
        *conv(20, 10, kernel_size=1),
        *conv(10, 10, padding=0),
        *conv(10, 20, padding=0),
        *channel_dropouts(dropout),
        *conv(20, 10, kernel_size=1),
        nn.Conv2d(10, classes, kernel_size=7, bias=False),
        *_average((height - 6) // 2 - 10, (width - 6) // 2 - 10),
        nn.Flatten(),
        nn.LogSoftmax(dim=1),
    )


def mnist_v2(input_shape: Sequence[int], classes: int, *, dropout: Probability = 0.05) -> nn.Sequential:
    """Build `mnist_small` with 12 final channels and channel dropout (4,232 parameters on MNIST)."""
    return mnist_small(input_shape, classes, final_channels=12, dropout=dropout)


def mnist_v3(input_shape: Sequence[int], classes: int) -> nn.Sequential:
    """Build `mnist_small` with its default options (4,968 parameters on MNIST)."""
    return mnist_small(input_shape, classes)


def mnist_small(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: Width = 4,
    middle_channels: Width = 10,
    final_channels: Width = 16,
    squeezed_channels: Width = 8,
    features: Width = 10,
    activation: Activation = "relu",
    separable: bool = False,
    dropout: Probability = 0.0,
) -> nn.Sequential:
    """Build the parametric small network; `mnist_v2` and `mnist_v3` are special cases.

    Args:
        input_shape: (C, H, W) in pixels, both sides at least 12.
        classes: number of outputs.
        starting_channels: after the first convolution; the second has twice as many.
        middle_channels: after the third convolution, which follows the first pooling.
        final_channels: after the fourth and the sixth convolution.
        squeezed_channels: after the fifth convolution (1 x 1), which follows the second pooling.
        features: after the seventh convolution (1 x 1); the last one maps them to logits, which are averaged.
        activation: name of the activation.
        separable: replace each 3 x 3 convolution except the first and the last by a depthwise and a 1 x 1 convolution
            (Howard et al. 2017, arXiv 1704.04861), with about a fifth of the parameters.
        dropout: probability of dropping a channel after the third convolution.
    """
    _, height, width = input_shape
    doubled = 2 * starting_channels
    return nn.Sequential(
        *conv(input_shape[0], starting_channels, activation=activation),
        *conv(starting_channels, doubled, activation=activation, separable=separable),
        nn.MaxPool2d(2),
        *conv(doubled, middle_channels, activation=activation, separable=separable),
        *channel_dropouts(dropout),
        *conv(middle_channels, final_channels, activation=activation, separable=separable),
        nn.MaxPool2d(2),
        *conv(final_channels, squeezed_channels, kernel_size=1, activation=activation),
        *conv(squeezed_channels, final_channels, activation=activation, separable=separable),
        *conv(final_channels, features, kernel_size=1, activation=activation),
        nn.Conv2d(features, classes, kernel_size=3, bias=False),
        *_average(height // 4 - 2, width // 4 - 2),
        nn.Flatten(),
        nn.LogSoftmax(dim=1),
    )


def conv(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 3,
    padding: int | None = None,
    activation: Activation = "relu",
    separable: bool = False,
) -> Iterator[nn.Module]:
    """Yield a convolution without bias (by default padded to keep the size), batch norm and activation."""
    padding = kernel_size // 2 if padding is None else padding
    if separable:
        yield nn.Conv2d(in_channels, in_channels, kernel_size, padding=padding, groups=in_channels, bias=False)
        kernel_size, padding = 1, 0
    yield nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=False)
    yield nn.BatchNorm2d(out_channels)
    yield ACTIVATIONS[activation]()


def _average(height: int, width: int) -> Iterator[nn.Module]:
    """Yield average pooling over the whole map of height x width pixels, or nothing if that is one pixel."""
    if (height, width) != (1, 1):
        yield nn.AvgPool2d((height, width))
