"""float16 on processors without instructions for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_PRODUCTS = {torch.conv2d, torch.conv_transpose2d, F.linear}


class ProductsInFloat32(TorchFunctionMode):
    """Convolutions and linear layers of float16 numbers, summed in float32.

    Inputs and weights are rounded to float16, multiplied and summed in float32, and the result is rounded to float16
    again; its gradients likewise. That is what tensor cores do with float16 (Micikevicius et al. 2018,
    https://arxiv.org/abs/1710.03740, section 3.3). Torch's own kernels for a CPU without float16 instructions sum
    number by number: a step of simple_cnn takes 350 ms with them and 21 ms so (batch 64, one core of an AMD EPYC).
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        kwargs = kwargs or {}
        if func not in _PRODUCTS:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            rounded = {name: _rounded(value) for name, value in kwargs.items()}
            return func(*map(_rounded, args), **rounded).half()


def _rounded(value: Any) -> Any:
    return value.half().float() if isinstance(value, Tensor) else value


def cpu_computes_float16() -> bool:
    """Whether torch's convolutions on this CPU have instructions for float16."""
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", None)
    return ask is None or bool(ask())


@contextmanager
def float16_on_cpu() -> Iterator[None]:
    """The context in which a model computes in float16 on a CPU."""
    with torch.autocast("cpu", dtype=torch.float16):
        if cpu_computes_float16():
            yield
            return
        with ProductsInFloat32():
            yield
