"""Fractional pooling against torch's own, and maximum pooling against its adaptive layer."""

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models import pooling
from models.pooling import FractionalPool, MaxPool, channel_samples, pool, region_starts


@st.composite
def sizes(draw: Any) -> tuple[int, int]:
    in_size = draw(st.integers(2, 96))
    return in_size, draw(st.integers(1, in_size - 1))


def torch_at(x: Tensor, out_size: int, samples: Tensor) -> Tensor:
    """Torch's kernel at the numbers (C, 2) of each channel, the same for all images."""
    samples = samples.expand(len(x), -1, -1)
    return F.fractional_max_pool2d(x, 2, output_size=out_size, _random_samples=samples)


def torch_at_half(x: Tensor, out_size: int) -> Tensor:
    return torch_at(x, out_size, torch.full((x.shape[1], 2), 0.5))


@settings(deadline=None)
@given(sizes(), st.integers(1, 7), st.integers(0, 2**31))
def test_evaluation_equals_torch_at_each_channels_numbers_to_the_bit(
    in_and_out: tuple[int, int], channels: int, seed: int
) -> None:
    in_size, out_size = in_and_out
    x = torch.randn(2, channels, in_size, in_size, generator=torch.Generator().manual_seed(seed))
    wanted = torch_at(x, out_size, torch.from_numpy(channel_samples(channels)))
    assert torch.equal(FractionalPool(in_size, out_size).eval()(x), wanted)


def test_the_numbers_of_channels_are_spread_evenly_over_the_square() -> None:
    for channels in (16, 46, 210, 1024):
        samples = channel_samples(channels)
        assert samples.shape == (channels, 2)
        assert samples.dtype == "float32"
        assert (samples >= 0).all()
        assert (samples < 1).all()
        for corner in ([0.5, 0.5], [0.25, 1.0], [0.7, 0.3]):
            share = float((samples < corner).all(axis=1).mean())
            assert share == pytest.approx(corner[0] * corner[1], abs=1.5 / channels**0.5 / 2)
    assert (channel_samples(210)[:46] == channel_samples(46)).all()  # wider networks keep the channels they had


def test_evaluation_places_regions_as_training_does() -> None:
    """Over many channels: what a region's mean start is at random, it is in evaluation; 0.5 for all is far from it."""
    in_size, out_size, channels = 32, 20, 512
    ramp = torch.arange(in_size, dtype=torch.float32).expand(1, channels, in_size, in_size)
    layer = FractionalPool(in_size, out_size)
    torch.manual_seed(0)
    trained, evaluated = (layer.train(mode)(ramp)[0, :, 0].mean(0) for mode in (True, False))
    torch.testing.assert_close(evaluated, trained, rtol=0, atol=0.1)
    assert (torch_at_half(ramp, out_size)[0, :, 0].mean(0) - trained).abs().max() > 0.4


def starts_at(in_size: int, out_size: int, u: float) -> list[int]:
    (starts,) = region_starts(in_size, out_size, np.array([u], dtype=np.float32)).tolist()
    return list(starts)


def test_region_starts_equal_torchs_for_every_size_up_to_64_and_some_larger() -> None:
    seen = 0
    for in_size in (*range(2, 65), 96, 128, 224, 225):
        # A ramp: the maximum of a region is its last row and column, so that the output tells where regions lie.
        ramp = torch.arange(in_size * in_size, dtype=torch.float32).reshape(1, 1, in_size, in_size)
        for out_size in range(1, in_size):
            last_columns = torch_at_half(ramp, out_size)[0, 0, 0] % in_size
            assert starts_at(in_size, out_size, 0.5) == [int(column) - 1 for column in last_columns]
            seen += 1
    assert seen == sum(range(1, 64)) + 95 + 127 + 223 + 224


@settings(deadline=None)
@given(sizes(), st.floats(0, 1 - 2**-12, width=32))  # nearer to 1, two may coincide, as with torch: 1 + u rounds to 2
def test_regions_run_forward_from_the_first_pixel_to_the_border(in_and_out: tuple[int, int], u: float) -> None:
    in_size, out_size = in_and_out
    starts = starts_at(in_size, out_size, u)
    assert len(starts) == out_size
    assert all(before < after for before, after in pairwise(starts))
    assert starts[-1] == in_size - 2
    assert starts[0] == 0 or out_size == 1


def test_training_draws_as_torchs_layer_does() -> None:
    x = torch.randn(4, 5, 13, 13)
    torch.manual_seed(11)
    wanted = nn.FractionalMaxPool2d(2, output_size=8)(x)
    torch.manual_seed(11)
    layer = FractionalPool(13, 8).train()
    assert torch.equal(layer(x), wanted)
    assert not torch.equal(layer(x), wanted)


def test_evaluation_passes_gradients_to_each_regions_maximum() -> None:
    x = torch.randn(2, 3, 9, 9, requires_grad=True)
    (ours,) = torch.autograd.grad(FractionalPool(9, 5).eval()(x).square().sum(), x)
    wanted = torch_at(x, 5, torch.from_numpy(channel_samples(3)))
    (theirs,) = torch.autograd.grad(wanted.square().sum(), x)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_the_dtype_is_kept_and_the_pixels_are_exact(dtype: torch.dtype, training: bool) -> None:
    x = torch.randn(2, 3, 200, 200).to(dtype)
    layer = FractionalPool(200, 141).train(training)
    torch.manual_seed(0)
    pooled = layer(x)
    torch.manual_seed(0)
    wide = layer(x.to(torch.promote_types(dtype, torch.float32)))
    assert pooled.dtype == dtype
    assert torch.equal(pooled, wide.to(dtype))


def test_indices_are_copied_to_a_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pooling._cached_places.cache_clear()
    copies = 0

    def counted(*sizes: int) -> Any:
        nonlocal copies
        copies += 1
        return places(*sizes)

    places = pooling._region_places
    monkeypatch.setattr(pooling, "_region_places", counted)
    layer = FractionalPool(9, 5).eval()
    with torch.inference_mode():
        for _ in range(3):
            layer(torch.zeros(2, 4, 9, 9))
    assert copies == 1
    x = torch.randn(2, 4, 9, 9, requires_grad=True)
    layer(x).sum().backward()  # the indices of inference mode serve training as well
    assert x.grad is not None
    assert copies == 1
    assert not layer.state_dict()


def test_a_nan_is_not_pooled_away() -> None:
    x = torch.zeros(1, 1, 6, 6)
    x[0, 0, 5, 5] = float("nan")
    for training in (True, False):
        assert FractionalPool(6, 3).train(training)(x).isnan().any()


@pytest.mark.parametrize(("in_size", "out_size"), [(3, 3), (3, 4), (2, 0), (1, 1)])
def test_regions_that_do_not_fit_are_refused(in_size: int, out_size: int) -> None:
    with pytest.raises(ValueError, match=rf"in_size - 1 = {in_size - 1} \(got {out_size}\)"):
        FractionalPool(in_size, out_size)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sides of 8 pixels \(got \(1, 1, 8, 9\)\)"):
        FractionalPool(8, 4)(torch.zeros(1, 1, 8, 9))


def test_the_printed_layer_shows_its_sizes() -> None:
    assert str(FractionalPool(8, 5)) == "FractionalPool(in_size=8, out_size=5)"


@pytest.mark.parametrize("kind", ["fractional", "max", "average"])
@pytest.mark.parametrize(("in_size", "out_size"), [(32, 20), (13, 8), (3, 2)])
def test_every_pooling_reaches_the_size(kind: Any, in_size: int, out_size: int) -> None:
    pooled = pool(kind, in_size, out_size)(torch.randn(2, 3, in_size, in_size))
    assert pooled.shape == (2, 3, out_size, out_size)


@given(sizes())
@settings(deadline=None)
def test_what_is_exported_instead_of_maximum_pooling_is_the_same(both: tuple[int, int]) -> None:
    in_size, out_size = both
    x = torch.randn(2, 3, in_size, in_size)
    layer = MaxPool(out_size)
    plain = layer(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert torch.equal(layer(x), plain)
    assert torch.equal(plain, F.adaptive_max_pool2d(x, out_size))


def test_maximum_pooling_by_fixed_windows_has_the_gradient_of_adaptive_windows() -> None:
    fixed = 0
    for in_size, out_size in product(range(1, 33), range(1, 33)):
        x = torch.randn(1, 2, in_size, in_size, requires_grad=True)
        ours, adaptive = MaxPool(out_size)(x), F.adaptive_max_pool2d(x, out_size)
        fixed += "Adaptive" not in str(ours.grad_fn)
        weights = torch.randn_like(ours)
        (mine,) = torch.autograd.grad(ours, x, weights)
        (theirs,) = torch.autograd.grad(adaptive, x, weights)
        torch.testing.assert_close(mine, theirs)
    assert fixed > 150  # all multiples, and 31 to 15, for example
