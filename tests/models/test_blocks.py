"""Shared layers: group counts, dense stacks, dropout."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.blocks import ACTIVATIONS, Activation, Dropout, dense, group_count


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (7, 1), (16, 1), (32, 2), (46, 2), (47, 1), (155, 5), (210, 14), (256, 16)]
)
def test_groups_are_near_16_channels(channels: int, groups: int) -> None:
    assert group_count(channels) == groups


@settings(deadline=None)
@given(st.integers(1, 1024))
def test_groups_divide_the_channels(channels: int) -> None:
    assert channels % group_count(channels) == 0


def test_every_activation_has_a_layer() -> None:
    assert set(ACTIVATIONS) == set(get_args(Activation))
    assert len(ACTIVATIONS) == 5


def test_dense_ends_in_logits() -> None:
    assert [type(layer).__name__ for layer in dense((6, 5, 4, 3), activation="gelu", dropout=0.1)] == [
        *("Linear", "GELU", "Dropout", "Linear", "GELU", "Dropout", "Linear"),
    ]
    assert [type(layer).__name__ for layer in dense((6, 3), activation="gelu", dropout=0.1)] == ["Linear"]


def test_dropout_zeroes_a_share_p_and_scales_the_rest() -> None:
    torch.manual_seed(0)
    layer, x = Dropout(0.4), torch.ones(1000, 1000, requires_grad=True)
    out = layer(x)
    dropped = (out == 0).double().mean().item()
    assert dropped == pytest.approx(0.4, abs=3e-3)  # 6 standard deviations of a million draws
    assert out.detach().unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())
    assert layer.eval()(x) is x or torch.equal(layer(x), x)


def test_dropout_keeps_the_dtype_and_does_not_round_p() -> None:
    torch.manual_seed(0)
    out = Dropout(0.05)(torch.ones(1000, 1000, dtype=torch.bfloat16))
    assert out.dtype is torch.bfloat16
    assert (out == 0).double().mean().item() == pytest.approx(0.05, abs=1.4e-3)
