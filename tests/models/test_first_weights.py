"""Whitening against the formula, in plain NumPy."""

import numpy as np
import pytest
import torch

from models.first_weights import EPSILON, Whitening


@pytest.mark.parametrize(("channels", "size"), [(3, 2), (1, 3)])
def test_filters_are_scaled_eigenvectors_with_both_signs(channels: int, size: int) -> None:
    torch.manual_seed(0)
    mixing = torch.randn(channels, channels)
    images = torch.einsum("ij,njhw->nihw", mixing, torch.rand(600, channels, 7, 6)) + 1
    layer = Whitening(channels, size)
    layer.fit(images)
    patches = np.stack(
        [
            image[:, y : y + size, x : x + size].ravel()
            for image in images.double().numpy()
            for y in range(7 - size + 1)
            for x in range(6 - size + 1)
        ]
    )
    values, vectors = np.linalg.eigh(np.cov(patches.T, bias=True))
    expected = (vectors / np.sqrt(values + EPSILON)).T[::-1]
    half = channels * size**2
    filters = layer.weight.double().numpy().reshape(2 * half, half)
    signs = np.sign((filters[:half] * expected).sum(1, keepdims=True))  # those of an eigenvector are arbitrary
    np.testing.assert_allclose(filters[:half], signs * expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(filters[half:], -filters[:half])
    with torch.no_grad():
        out = layer(images).transpose(0, 1).flatten(1)[:half].double().numpy()
    np.testing.assert_allclose(out.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(out, bias=True), np.diag(values[::-1] / (values[::-1] + EPSILON)), atol=1e-3)


def test_a_constant_channel_stays_finite() -> None:
    layer = Whitening(2, 2)
    layer.fit(torch.cat([torch.rand(9, 1, 4, 4), torch.ones(9, 1, 4, 4)], 1))
    assert layer.weight.isfinite().all()
    assert layer.bias is not None
    assert layer.bias.isfinite().all()
