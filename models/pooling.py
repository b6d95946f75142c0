"""Pooling to a square of a given size: fractional, maximum, average."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Pooling = Literal["fractional", "max", "average"]


class FractionalPool(nn.Module):
    """Fractional max pooling (Graham 2014, https://arxiv.org/abs/1412.6071) that is deterministic in evaluation.

    Regions are 2 x 2 and overlap; their positions follow from one number u in [0, 1) per axis. In training, u is drawn
    for each image and channel from the global generator of the input's device, as in `nn.FractionalMaxPool2d` (and on
    CUDA, as there, gradients are summed in no fixed order). In evaluation each channel has fixed numbers
    (`channel_samples`), so that a checkpoint always gives the same result; torch's layer stays random. Using one
    number, such as 0.5, for all channels would be deterministic too, but would place the regions of all channels
    alike, which never happens in training: after five epochs, the best classifier of the published search then scored
    67.7 % on 2,000 validation images, against 78.4 % with numbers per channel, and 78.8, 78.9 and 77.4 % at random.

    Args:
        in_size: side of the (square) input, in pixels.
        out_size: side of the output, in pixels.

    Raises:
        ValueError: `out_size` is not smaller than `in_size`.
    """

    def __init__(self, in_size: int, out_size: int) -> None:
        super().__init__()
        if not 1 <= out_size <= in_size - 1:
            raise ValueError(f"out_size must be from 1 to in_size - 1 = {in_size - 1} (got {out_size})")
        self.in_size = in_size
        self.out_size = out_size

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, in_size, in_size) to (B, C, out_size, out_size), in the dtype of `x`."""
        if x.shape[-2:] != (self.in_size, self.in_size):
            raise ValueError(f"the input must have sides of {self.in_size} pixels (got {tuple(x.shape)})")
        return self._random(x) if self.training else self._fixed(x)

    def _random(self, x: Tensor) -> Tensor:
        # torch computes the positions in the input's precision, and 16 bits are too coarse; the maxima stay exact.
        wide = torch.promote_types(x.dtype, torch.float32)
        samples = torch.rand(*x.shape[:2], 2, dtype=wide, device=x.device)
        pooled = F.fractional_max_pool2d(x.to(wide), 2, output_size=self.out_size, _random_samples=samples)
        return pooled.to(x.dtype)

    def _fixed(self, x: Tensor) -> Tensor:
        # torch's kernel cannot be exported to ONNX, and is slower than these operations (one CPU core, the default
        # classifier's six pools at batch 500): 473 ms instead of 231 in float32, 516 instead of 161 in bfloat16.
        # The indices are not a buffer, which weight averaging and `to_empty` would overwrite.
        channels = x.shape[1]
        places = region_places(self.in_size, self.out_size, channels, x.device)
        x = torch.maximum(x[..., :-1, :], x[..., 1:, :])
        x = torch.maximum(x[..., :-1], x[..., 1:])
        return x.flatten(1).index_select(1, places).view(x.shape[0], channels, self.out_size, self.out_size)

    def extra_repr(self) -> str:
        """Add both sizes to the printed model."""
        return f"in_size={self.in_size}, out_size={self.out_size}"


def region_starts(in_size: int, out_size: int, samples: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return where each region of width 2 starts (*samples.shape, out_size), as torch's float32 kernel computes it.

    For a sample `u`, `start(i) = int((i + u) * alpha) - int(u * alpha)` with `alpha = (in - 2) / (out - 1)`, and the
    last region ends at the border (ATen, FractionalMaxPooling.h). All in float32, since float64 could truncate to other
    integers.
    """
    last = in_size - 2
    starts = np.full((*samples.shape, out_size), last, dtype=np.int64)
    if out_size > 1:
        alpha = np.float32(last) / np.float32(out_size - 1)
        steps = (np.arange(out_size - 1, dtype=np.float32) + samples[..., None]) * alpha
        starts[..., :-1] = steps.astype(np.int64) - (samples * alpha).astype(np.int64)[..., None]
    return starts


def channel_samples(channels: int) -> NDArray[np.float32]:
    """Return numbers in [0, 1) for the columns and rows of each channel (channels, 2), evenly spread over the square.

    They are the first points of the R2 sequence (Roberts 2018, "The unreasonable effectiveness of quasirandom
    sequences"), whose steps are 1/g and 1/g^2 with g^3 = g + 1.
    """
    plastic = 1.324717957244746
    points = (0.5 + np.arange(1, channels + 1)[:, None] / np.array([plastic, plastic**2])) % 1
    samples: NDArray[np.float32] = points.astype(np.float32)
    samples[samples == 1] = 0.0  # float32 may round up to 1
    return samples


def region_places(in_size: int, out_size: int, channels: int, device: torch.device) -> Tensor:
    """Return where each region starts in a flattened (channels, in_size - 1, in_size - 1): (channels * out_size^2,).

    The tensor is copied to the device only once, except while a model is exported, whose tensors are placeholders. On
    the meta device it has a shape alone.
    """
    if device.type == "meta":
        return torch.empty(channels * out_size**2, dtype=torch.int64, device=device)
    if torch.compiler.is_compiling():
        return torch.tensor(_region_places(in_size, out_size, channels), device=device)
    return _cached_places(in_size, out_size, channels, device)


@lru_cache(maxsize=64)
def _cached_places(in_size: int, out_size: int, channels: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # the same tensor is used in training, which refuses those of inference mode
        return torch.tensor(_region_places(in_size, out_size, channels), device=device)


def _region_places(in_size: int, out_size: int, channels: int) -> NDArray[np.int64]:
    side = in_size - 1
    columns, rows = region_starts(in_size, out_size, channel_samples(channels)).transpose(1, 0, 2)
    planes = side**2 * np.arange(channels)[:, None, None]
    places: NDArray[np.int64] = planes + side * rows[:, :, None] + columns[:, None, :]
    return places.ravel()


class MaxPool(nn.AdaptiveMaxPool2d):
    """`nn.AdaptiveMaxPool2d` to squares: the same numbers by faster operations, or by such as can be exported.

    Windows of one size at equal distances are those of `F.max_pool2d`; adaptive ones take a GPU longer. ONNX has no
    layer for others, which are made of other operations while a model is exported.

    Args:
        out_size: side of the output, in pixels.
        in_size: side of the input; outputs of other inputs have sides in proportion. None for always `out_size`.
    """

    def __init__(self, out_size: int, in_size: int | None = None) -> None:
        super().__init__(out_size)
        self.in_size = in_size

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C, output_size, output_size)."""
        out = _in_proportion(int(self.output_size), self.in_size, x)  # type: ignore[arg-type]
        regular = [_regular(side, out) for side in x.shape[2:]]
        if all(regular):
            size, stride = zip(*regular, strict=True)
            return F.max_pool2d(x, size, stride)
        if not torch.compiler.is_compiling():
            return F.adaptive_max_pool2d(x, out)
        for dim in (2, 3):
            starts, lasts = _windows(x.shape[dim], out)
            places = np.minimum(starts[:, None] + np.arange((lasts - starts).max() + 1), lasts[:, None])
            x = x.index_select(dim, torch.tensor(places.ravel(), device=x.device))
            x = torch.unflatten(x, dim, places.shape)
            x = x.amax(dim + 1)
        return x


class AveragePool(nn.AdaptiveAvgPool2d):
    """`nn.AdaptiveAvgPool2d` to squares, which pools other sizes in proportion; see `MaxPool`."""

    def __init__(self, out_size: int, in_size: int) -> None:
        super().__init__(out_size)
        self.in_size = in_size

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C, output_size, output_size)."""
        return F.adaptive_avg_pool2d(x, _in_proportion(int(self.output_size), self.in_size, x))  # type: ignore[arg-type]


def _in_proportion(out_size: int, in_size: int | None, x: Tensor) -> int:
    """The side of the output for an input (B, C, side, side)."""
    side = x.shape[-1]
    return out_size if in_size in (None, side) else max(round(out_size * side / in_size), 1)


def _windows(side: int, out: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last place of each of the `out` windows of adaptive pooling along a side."""
    return np.arange(out) * side // out, -(-np.arange(1, out + 1) * side // out) - 1


@lru_cache(maxsize=1024)
def _regular(side: int, out: int) -> tuple[int, int] | None:
    """The size of the windows and their distance, if all are alike."""
    starts, lasts = _windows(side, out)
    size, stride = int(lasts[0]) + 1, int(starts[1]) if out > 1 else 1
    alike = np.array_equal(starts, np.arange(out) * stride) and np.array_equal(lasts, starts + size - 1)
    return (size, stride) if alike and stride > 0 else None


def pool(kind: Pooling, in_size: int, out_size: int, *, fixed: bool = True) -> nn.Module:
    """Return the layer that pools (B, C, in_size, in_size) to (B, C, out_size, out_size).

    Maxima and averages of other inputs have the same size if it is `fixed`, otherwise a side in proportion.
    """
    if kind == "fractional":
        return FractionalPool(in_size, out_size)
    if kind == "max":
        return MaxPool(out_size, None if fixed else in_size)
    return nn.AdaptiveAvgPool2d(out_size) if fixed else AveragePool(out_size, in_size)
