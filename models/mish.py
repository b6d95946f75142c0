"""Mish, faster in training on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Numbers per thread that are processed at a time, so that intermediate results stay in the cache.
CHUNK = 2**17

# Above this, mish(x) equals x in float32; exp(x)^2 is still far from overflowing.
LARGE = 20.0


class Mish(nn.Mish):
    """`nn.Mish` (Misra 2019, https://arxiv.org/abs/1908.08681), twice as fast when training on a CPU.

    mish(x) = x tanh(softplus(x)) = x n / (n + 2) with e = exp(x) and n = e (e + 2), which needs one transcendental
    function instead of torch's three. The derivative is n / (n + 2) + 4 x e (e + 1) / (n + 2)^2. Like torch's, it is
    computed in float32. Nanoseconds per number, forward and backward, on one core of an AMD EPYC: 4.4 (torch: 9.7) in
    float32, 4.5 (8.5) in bfloat16. Evaluation uses torch's own, which can be exported.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to itself."""
        if not self.training or x.device.type != "cpu" or x.dtype == torch.float64:
            return super().forward(x)
        out: Tensor = _Mish.apply(x)
        return out


class _Mish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if not _dense(x):
            x = x.contiguous()
        ctx.save_for_backward(x)
        out = torch.empty_like(x)
        for part, result in zip(_parts(x), _parts(out), strict=True):
            _, e, n = _exponentials(part)
            result.copy_(n.div_(torch.add(n, 2, out=e)).mul_(part))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        out = torch.empty_like(x)
        out.copy_(gradient)  # now in the layout of x
        for part, result in zip(_parts(x), _parts(out), strict=True):
            clamped, e, n = _exponentials(part)
            inverse = n.add(2).reciprocal_()
            slope = e.addcmul_(e, e).mul_(inverse).mul_(inverse).mul_(clamped)
            result.mul_(n.mul_(inverse).add_(slope, alpha=4))
        return out


def _exponentials(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x as float32 and at most `LARGE`, e = exp(x), and n = e (e + 2)."""
    clamped = x.float().clamp(max=LARGE)
    e = clamped.exp()
    return clamped, e, e.add(2).mul_(e)


def _dense(x: Tensor) -> bool:
    """Whether x fills its memory without gaps, in any order."""
    return x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))


def _parts(x: Tensor) -> Iterator[Tensor]:
    """Split a dense tensor into chunks, in the order of its memory."""
    flat = x.as_strided((x.numel(),), (1,))
    return iter(torch.split(flat, CHUNK * torch.get_num_threads()))
