"""Mish while training on a CPU: the function and its derivative, in every type and layout."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.mish import CHUNK, Mish

EPS = {torch.float32: 2.0**-23, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}


def truth(x: Tensor) -> tuple[Tensor, Tensor]:
    """Value and derivative as defined, in float64."""
    x = x.detach().double().requires_grad_()
    y = x * torch.tanh(F.softplus(x, threshold=60))
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach(), slope


def value_and_slope(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    y = layer(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach(), slope


@pytest.mark.parametrize("dtype", list(EPS))
def test_it_is_the_function_and_its_derivative(dtype: torch.dtype) -> None:
    x = torch.cat([torch.linspace(-30, 30, 100_001), torch.tensor([0.0, -80.0, 80.0, 1e4, -1e4])]).to(dtype)
    expected, expected_slope = truth(x)
    value, slope = value_and_slope(Mish(), x)
    assert value.dtype == slope.dtype == dtype
    tiny = 4e-8 if dtype == torch.float16 else 1e-30  # the least that float16 holds, and below what float32 does
    torch.testing.assert_close(value.double(), expected, rtol=4 * EPS[dtype], atol=tiny)
    # The derivative is a sum that cancels where it is 0, at -1.19.
    torch.testing.assert_close(slope.double(), expected_slope, rtol=4 * EPS[dtype], atol=4 * EPS[torch.float32])


def test_what_is_no_number_stays_none() -> None:
    value, slope = value_and_slope(Mish(), torch.tensor([float("nan"), float("inf")]))
    assert value.isnan().tolist() == [True, False]
    assert value[1] == float("inf")
    assert slope[0].isnan()


@pytest.mark.parametrize("threads", [1, 2])
def test_more_numbers_than_are_passed_over_at_a_time(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x = torch.randn(2 * threads * CHUNK + 7)
        value, slope = value_and_slope(Mish(), x)
    finally:
        torch.set_num_threads(before)
    expected, expected_slope = truth(x)
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-30)
    torch.testing.assert_close(slope.double(), expected_slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layout", ["plain", "channels last", "strided", "expanded", "offset", "empty"])
def test_every_layout(layout: str) -> None:
    plain = torch.randn(3, 4, 5, 6)
    x = {
        "plain": plain,
        "channels last": plain.contiguous(memory_format=torch.channels_last),
        "strided": plain[:, ::2, :, 1:],
        "expanded": plain[:1].expand(3, -1, -1, -1),
        "offset": plain[1:],
        "empty": plain[:0],
    }[layout]
    value, slope = value_and_slope(Mish(), x)
    expected, expected_slope = truth(x)
    assert value.shape == x.shape
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-30)
    torch.testing.assert_close(slope.double(), expected_slope, rtol=1e-5, atol=1e-6)
    if layout == "channels last":
        assert value.is_contiguous(memory_format=torch.channels_last)


def test_a_gradient_in_another_layout_than_the_numbers() -> None:
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = torch.arange(96.0).view(2, 3, 4, 4)
    (slope,) = torch.autograd.grad((Mish()(x) * weights).sum(), x)
    torch.testing.assert_close(slope.double(), truth(x)[1] * weights, rtol=1e-5, atol=1e-4)


def test_in_evaluation_and_in_float64_it_is_torchs() -> None:
    x = torch.randn(1000)
    assert torch.equal(Mish().eval()(x), F.mish(x))
    assert torch.equal(Mish()(x.double()), F.mish(x.double()))
    assert torch.autograd.gradcheck(Mish(), (torch.randn(9, dtype=torch.float64, requires_grad=True),))
    assert repr(Mish()) == repr(nn.Mish())
