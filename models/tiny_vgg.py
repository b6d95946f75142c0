"""TinyVGG: two blocks of two convolutions, and a linear layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from models.blocks import Probability, Width, channel_dropouts, dropouts


def tiny_vgg(
    input_shape: Sequence[int],
    classes: int,
    *,
    hidden_units: Width = 64,
    batch_norm: bool = False,
    dropout: Probability = 0.0,
) -> nn.Sequential:
    """Build TinyVGG: 153,546 parameters on CIFAR-10, 154,058 with batch normalization.

    Args:
        input_shape: (C, H, W) in pixels, both sides at least 4.
        classes: number of outputs.
        hidden_units: channels after every convolution.
        batch_norm: whether a batch normalization follows every convolution.
        dropout: probability of dropping a channel after each block, and a feature before the linear layer.
    """
    channels, height, width = input_shape
    return nn.Sequential(
        *_block(channels, hidden_units, batch_norm, dropout),
        *_block(hidden_units, hidden_units, batch_norm, dropout),
        nn.Flatten(),
        *dropouts(dropout),
        nn.Linear(hidden_units * (height // 4) * (width // 4), classes),
    )


def _block(in_channels: int, out_channels: int, batch_norm: bool, dropout: float) -> Iterator[nn.Module]:
    for channels in (in_channels, out_channels):
        yield nn.Conv2d(channels, out_channels, kernel_size=3, padding=1)
        if batch_norm:
            yield nn.BatchNorm2d(out_channels)
        yield nn.ReLU()
    yield nn.MaxPool2d(2)
    yield from channel_dropouts(dropout)
