"""The number types a network computes in, on a CPU and on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tune.spec.recipe import TrainingSpec

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_PRODUCTS = {torch.conv2d, torch.conv_transpose2d, F.linear}


def autocast(spec: TrainingSpec, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which a model is applied, in training and validation alike."""
    if spec.precision == "float32":
        return float32_on_gpu(device)
    if spec.precision == "float16" and device.type == "cpu":
        return _float16_on_cpu()
    return torch.autocast(device.type, dtype=_DTYPES[spec.precision])


@contextmanager
def float32_on_gpu(device: torch.device) -> Iterator[None]:
    """Fix for the block what torch leaves to global flags when it computes in float32 on a CUDA device.

    TF32, float32 with 10 bits of mantissa, is used in convolutions, where it is torch's default, and in matrix products
    as well: linear layers need no more precision than convolutions. cuDNN's benchmark mode is off: it would choose
    kernels by their speed at the moment, and a resumed training might compute with others. Nothing changes on the CPU.
    On an H100, no other setting was faster with small networks (tests/benchmarks/NOTES.md).
    """
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = True, True, False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


@contextmanager
def _float16_on_cpu() -> Iterator[None]:
    with torch.autocast("cpu", dtype=torch.float16):
        if cpu_computes_float16():
            yield
            return
        with ProductsInFloat32():
            yield


def cpu_computes_float16() -> bool:
    """Whether this CPU has float16 instructions that torch's convolutions use."""
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", None)
    return ask is None or bool(ask())


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; a CPU without them is up to 100 times slower than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return ask is None or bool(ask())


class ProductsInFloat32(TorchFunctionMode):
    """Convolutions and linear layers of float16 numbers, summed in float32.

    Inputs and weights are rounded to float16, multiplied and summed in float32, and the result is rounded to float16;
    gradients likewise. Tensor cores do the same with float16 (Micikevicius et al. 2018,
    https://arxiv.org/abs/1710.03740, section 3.3). Torch's own kernels for a CPU without float16 instructions take 350
    ms for a step of simple_cnn, this takes 21 ms (batch 64, one core of an AMD EPYC).
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
