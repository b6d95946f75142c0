"""Simple models, each a plain stack of layers, for any image size and number of classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated

from annotated_types import MinLen
from torch import nn

from models.blocks import Probability, Width, dense, dropouts
from models.errors import ModelError

Widths = Annotated[tuple[Width, ...], MinLen(1)]


def mnist_mlr(input_shape: Sequence[int], classes: int) -> nn.Sequential:
    """Build multinomial logistic regression: one linear layer on the pixels (7,850 parameters on MNIST)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), classes))


def mnist_cnn(
    input_shape: Sequence[int],
    classes: int,
    *,
    hidden_dims: Widths = (256, 128),
    dropout: Probability = 0.4,
) -> nn.Sequential:
    """Build a multilayer perceptron, which its source calls a CNN (235,146 parameters on MNIST)."""
    widths = (math.prod(input_shape), *hidden_dims, classes)
    return nn.Sequential(nn.Flatten(), *dense(widths, activation="relu", dropout=dropout))


def simple_cnn(
    input_shape: Sequence[int],
    classes: int,
    *,
    conv_channels: Widths = (32, 64),
    hidden_dim: Width = 128,
    dropout: Probability = 0.5,
) -> nn.Sequential:
    """Build blocks of convolution, ReLU and max pooling, then one hidden layer (421,642 parameters on MNIST)."""
    widths = (_flat_features(input_shape, conv_channels), hidden_dim, classes)
    return nn.Sequential(
        *_halving_blocks((input_shape[0], *conv_channels)),
        nn.Flatten(),
        *dense(widths, activation="relu", dropout=dropout),
    )


def cifar_model(
    input_shape: Sequence[int],
    classes: int,
    *,
    conv_channels: Widths = (32, 64, 128, 256),
    hidden_dim: Width = 512,
    dropout: Probability = 0.5,
) -> nn.Sequential:
    """Build the deeper network for CIFAR-100 (964,516 parameters there).

    As published, there is no activation between its two linear layers: together they are one of rank `hidden_dim`.
    """
    return nn.Sequential(
        *_halving_blocks((input_shape[0], *conv_channels)),
        nn.Flatten(),
        *dropouts(dropout),
        nn.Linear(_flat_features(input_shape, conv_channels), hidden_dim),
        nn.Linear(hidden_dim, classes),
    )


def check_halving_blocks(
    name: str, input_shape: Sequence[int], classes: int, *, conv_channels: Sequence[int], **_others: object
) -> None:
    """Raise `ModelError` if pooling would shrink the image to nothing: each block halves it and rounds down.

    Args:
        name: of the model.
        input_shape: (C, H, W), in pixels.
        classes: not used.
        conv_channels: one number per block.
    """
    _, height, width = input_shape
    blocks = len(conv_channels)
    if min(height, width) < 2**blocks:
        raise ModelError(
            f"{name}: images must be at least {2**blocks} x {2**blocks} pixels for {blocks} conv_channels (got "
            f"{height} x {width}), since each halves them"
        )


def _flat_features(input_shape: Sequence[int], conv_channels: Sequence[int]) -> int:
    """Return the number of features after the halving blocks."""
    _, height, width = input_shape
    shrink: int = 2 ** len(conv_channels)
    return conv_channels[-1] * (height // shrink) * (width // shrink)


def _halving_blocks(channels: Sequence[int]) -> Iterator[nn.Module]:
    """Yield 3 x 3 convolution, ReLU and 2 x 2 max pooling for each step from channels to channels."""
    for in_channels, out_channels in pairwise(channels):
        yield nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        yield nn.ReLU()
        yield nn.MaxPool2d(2)
