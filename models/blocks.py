"""Layers that several models share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le, Lt
from torch import Tensor, nn

from models.mish import Mish

Activation = Literal["mish", "relu", "gelu", "silu", "leaky_relu"]
Norm = Literal["batch", "batch_unscaled", "group", "none"]
Probability = Annotated[float, Ge(0), Lt(1)]
Width = Annotated[int, Ge(1), Le(65_536)]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "mish": Mish,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
}

# Group normalization works best with 16 channels per group (Wu & He 2018, https://arxiv.org/abs/1803.08494, table 3).
CHANNELS_PER_GROUP = 16


class Dropout(nn.Dropout):
    """`nn.Dropout`, but two to three times as fast on a CPU, where torch draws Bernoulli numbers slowly.

    A feature is zeroed if a uniform number from torch's global generator is below `p`, and otherwise divided by 1 - p
    (Srivastava et al. 2014). On other devices torch's own kernel is used.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of (B, ...) in training; do nothing in evaluation."""
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        # Always float32: in 16 bits, p would be rounded.
        kept = torch.rand(x.shape) >= self.p
        return x * kept.to(x.dtype).mul_(1 / (1 - self.p))


class Residual(nn.Module):
    """`x + body(x)`, where the body keeps the shape."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        out: Tensor = x + self.body(x)
        return out


class Scale(nn.Module):
    """`factor * x`, with a fixed factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to itself."""
        return self.factor * x

    def extra_repr(self) -> str:
        """Add the factor to the printed model."""
        return f"factor={self.factor}"


def group_count(channels: int) -> int:
    """Return the number of groups, a divisor of `channels`, for which a group is closest to 16 channels (as a ratio).

    For example, 37 channels become one group (a layer norm), not 37 groups of one channel, which work worst.
    """
    divisors = [size for size in range(1, channels + 1) if channels % size == 0]
    return channels // min(divisors, key=lambda size: max(size / CHANNELS_PER_GROUP, CHANNELS_PER_GROUP / size))


def conv_norm_activation(
    in_channels: int, out_channels: int, *, norm: Norm, activation: Activation, pooling: nn.Module | None = None
) -> Iterator[tuple[str, nn.Module]]:
    """Yield the named layers of a 3 x 3 convolution that keeps the size, its norm (if any) and its activation.

    With `pooling`, it follows the convolution. "batch_unscaled" is batch normalization whose scales stay 1; as it would
    cancel a bias of the convolution, there is none (as in Jordan 2024, https://arxiv.org/abs/2404.00498).
    """
    yield "conv", nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=norm != "batch_unscaled")
    if pooling is not None:
        yield "pool", pooling
    if norm in ("batch", "batch_unscaled"):
        layer = nn.BatchNorm2d(out_channels)
        layer.weight.requires_grad_(norm == "batch")
        yield "norm", layer
    elif norm == "group":
        yield "norm", nn.GroupNorm(group_count(out_channels), out_channels)
    yield "activation", ACTIVATIONS[activation]()


def dense(widths: Sequence[int], *, activation: Activation, dropout: float = 0.0) -> Iterator[nn.Module]:
    """Yield linear layers with the activation and dropout between them.

    Args:
        widths: features before the first layer, between the layers, and after the last; at least two numbers.
        activation: name of the activation.
        dropout: probability of zeroing a hidden feature; with 0 there is no dropout layer.
    """
    for index, (in_features, out_features) in enumerate(pairwise(widths)):
        if index > 0:
            yield ACTIVATIONS[activation]()
            yield from dropouts(dropout)
        yield nn.Linear(in_features, out_features)


def dropouts(probability: float) -> Iterator[nn.Module]:
    """Yield a dropout layer, or nothing if the probability is 0."""
    if probability > 0:
        yield Dropout(probability)


def channel_dropouts(probability: float) -> Iterator[nn.Module]:
    """Yield a layer that drops whole channels (Tompson et al. 2015, arXiv 1411.4280), or nothing if it is 0."""
    if probability > 0:
        yield nn.Dropout2d(probability)
