"""Layers that several models share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Ge, Le, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from models.mish import Mish

Activation = Literal["mish", "relu", "gelu", "silu", "leaky_relu"]
Pooling = Literal["fractional", "max", "average"]
Norm = Literal["batch", "group", "none"]
Probability = Annotated[float, Ge(0), Lt(1)]
Width = Annotated[int, Ge(1), Le(65_536)]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "mish": Mish,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
}

# Group normalization errs least at 16 channels a group (Wu & He 2018, https://arxiv.org/abs/1803.08494, table 3).
CHANNELS_PER_GROUP = 16


class Dropout(nn.Dropout):
    """`nn.Dropout`, two to three times as fast on a CPU, where torch draws Bernoulli numbers slowly.

    A feature is zeroed where a uniform number of torch's global generator is below `p`, and else divided by 1 - p
    (Srivastava et al. 2014). On other devices torch's own fused kernel is the fast one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of (B, ...) in training; nothing in evaluation."""
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        # float32 whatever the dtype of x: in 16 bits p would be rounded
        kept = torch.rand(x.shape) >= self.p
        return x * kept.to(x.dtype).mul_(1 / (1 - self.p))


class FractionalPool(nn.Module):
    """Fractional max pooling (Graham 2014, https://arxiv.org/abs/1412.6071) whose evaluation is repeatable.

    Regions are 2 x 2 and overlap; where they start follows from one number u in [0, 1) per axis. In training, u is
    drawn anew for each image and channel, from torch's global generator of the input's device, as
    `nn.FractionalMaxPool2d` does (and on CUDA, like it, adds up gradients in no fixed order). In evaluation each
    channel has numbers of its own that never change (`channel_samples`), so that one checkpoint gives one result;
    torch's layer stays random there. One number for all channels, 0.5 say, would be repeatable too, but puts the
    regions of all channels in the same places, which training never does: after five epochs the best classifier of the
    published search knew 67.7 % of 2,000 validation images so, 78.4 % with numbers per channel, and 78.8, 78.9 and
    77.4 % at random.

    Args:
        in_size: side of the (square) input, in pixels.
        out_size: side of the output, in pixels.

    Raises:
        ValueError: `out_size + 1 > in_size`: the regions would not fit.
    """

    def __init__(self, in_size: int, out_size: int) -> None:
        super().__init__()
        if not 1 <= out_size <= in_size - 1:
            raise ValueError(f"fractional pooling needs 1 <= out and out + 1 <= in, got in={in_size}, out={out_size}")
        self.in_size = in_size
        self.out_size = out_size

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, in_size, in_size) to (B, C, out_size, out_size), in the dtype of `x`."""
        if x.shape[-2:] != (self.in_size, self.in_size):
            raise ValueError(f"made for images of side {self.in_size}, got {tuple(x.shape)}")
        return self._random(x) if self.training else self._fixed(x)

    def _random(self, x: Tensor) -> Tensor:
        # Torch places the regions in the input's own precision, too coarse in 16 bits; a maximum is exact in any.
        wide = torch.promote_types(x.dtype, torch.float32)
        samples = torch.rand(*x.shape[:2], 2, dtype=wide, device=x.device)
        pooled = F.fractional_max_pool2d(x.to(wide), 2, output_size=self.out_size, _random_samples=samples)
        return pooled.to(x.dtype)

    def _fixed(self, x: Tensor) -> Tensor:
        # Exporters know these operations; torch's kernel has no ONNX form, and is slower (one CPU core, the default
        # classifier's six pools at batch 500): 231 ms to 473 in float32, 161 to 516 in bfloat16.
        # No buffer: weight averaging and `to_empty` would spoil an index kept so.
        channels = x.shape[1]
        places = torch.tensor(region_places(self.in_size, self.out_size, channels), device=x.device)
        x = torch.maximum(x[..., :-1, :], x[..., 1:, :])
        x = torch.maximum(x[..., :-1], x[..., 1:])
        return x.flatten(1).index_select(1, places).view(x.shape[0], channels, self.out_size, self.out_size)

    def extra_repr(self) -> str:
        """Show both sizes in the printed model."""
        return f"in_size={self.in_size}, out_size={self.out_size}"


def region_starts(in_size: int, out_size: int, u: float) -> tuple[int, ...]:
    """Return where each region of width 2 starts: what torch's float32 kernel computes for the sample `u`.

    `start(i) = int((i + u) * alpha) - int(u * alpha)` with `alpha = (in - 2) / (out - 1)`, and the last region ends at
    the border (ATen, FractionalMaxPooling.h). In float32 throughout: the truncation may fall elsewhere in float64.
    """
    last = in_size - 2
    if out_size == 1:
        return (last,)
    sample = np.float32(u)
    alpha = np.float32(last) / np.float32(out_size - 1)
    steps = (np.arange(out_size - 1, dtype=np.float32) + sample) * alpha
    return (*(int(step) - int(sample * alpha) for step in steps), last)


def channel_samples(channels: int) -> NDArray[np.float32]:
    """Return numbers in [0, 1) for the columns and rows of each channel (channels, 2), spread evenly over the square.

    The first points of the R2 sequence (Roberts 2018, "The unreasonable effectiveness of quasirandom sequences"), whose
    steps are 1/g and 1/g^2 with g^3 = g + 1.
    """
    plastic = 1.324717957244746
    points = (0.5 + np.arange(1, channels + 1)[:, None] / np.array([plastic, plastic**2])) % 1
    samples: NDArray[np.float32] = points.astype(np.float32)
    samples[samples == 1] = 0.0  # what float32 rounds up to 1
    return samples


@lru_cache(maxsize=64)
def region_places(in_size: int, out_size: int, channels: int) -> NDArray[np.int64]:
    """Return where each region begins in (channels, in_size - 1, in_size - 1), flattened: (channels * out_size^2,)."""
    side = in_size - 1
    starts = [[region_starts(in_size, out_size, float(u)) for u in samples] for samples in channel_samples(channels)]
    columns, rows = np.array(starts, dtype=np.int64).transpose(1, 0, 2)
    planes = side**2 * np.arange(channels)[:, None, None]
    places: NDArray[np.int64] = planes + side * rows[:, :, None] + columns[:, None, :]
    return places.ravel()


class Residual(nn.Module):
    """`x + body(x)`, for a body that keeps the shape."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        out: Tensor = x + self.body(x)
        return out


class Scale(nn.Module):
    """`factor * x`, the factor being fixed."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to itself."""
        return self.factor * x

    def extra_repr(self) -> str:
        """Show the factor in the printed model."""
        return f"factor={self.factor}"


def pool(kind: Pooling, in_size: int, out_size: int) -> nn.Module:
    """Return the layer that pools (B, C, in_size, in_size) to (B, C, out_size, out_size)."""
    if kind == "fractional":
        return FractionalPool(in_size, out_size)
    return nn.AdaptiveMaxPool2d(out_size) if kind == "max" else nn.AdaptiveAvgPool2d(out_size)


def group_count(channels: int) -> int:
    """Return the number of groups, a divisor of `channels`, that brings a group nearest to 16 channels (as a ratio).

    A prime number of channels above 16 so becomes one group (a layer norm), not groups of one channel, which err most.
    """
    divisors = [size for size in range(1, channels + 1) if channels % size == 0]
    return channels // min(divisors, key=lambda size: max(size / CHANNELS_PER_GROUP, CHANNELS_PER_GROUP / size))


def conv_norm_activation(
    in_channels: int, out_channels: int, *, norm: Norm, activation: Activation
) -> Iterator[tuple[str, nn.Module]]:
    """Yield the named layers of a 3 x 3 convolution that keeps the image size, its norm (if any) and its activation."""
    yield "conv", nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
    if norm == "batch":
        yield "norm", nn.BatchNorm2d(out_channels)
    elif norm == "group":
        yield "norm", nn.GroupNorm(group_count(out_channels), out_channels)
    yield "activation", ACTIVATIONS[activation]()


def dense(widths: Sequence[int], *, activation: Activation, dropout: float = 0.0) -> Iterator[nn.Module]:
    """Yield linear layers from width to width, with the activation and dropout between them and logits at the end.

    Args:
        widths: features before the first layer, between the layers, and after the last; at least two numbers.
        activation: its name.
        dropout: probability of zeroing a hidden feature; 0 leaves the layer out.
    """
    for index, (in_features, out_features) in enumerate(pairwise(widths)):
        if index > 0:
            yield ACTIVATIONS[activation]()
            yield from dropouts(dropout)
        yield nn.Linear(in_features, out_features)


def dropouts(probability: float) -> Iterator[nn.Module]:
    """Yield a dropout layer, or nothing at probability 0, where it would only copy."""
    if probability > 0:
        yield Dropout(probability)


def channel_dropouts(probability: float) -> Iterator[nn.Module]:
    """Yield a layer that drops whole channels (Tompson et al. 2015, arXiv 1411.4280), or nothing at probability 0."""
    if probability > 0:
        yield nn.Dropout2d(probability)
