"""Gaussian process regression with a Matern 5/2 kernel, a length scale per input, and noise; the parameters are MAP."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts when they are used, in half a second that most searches don't need
from numpy.typing import NDArray

Array = NDArray[np.float64]

JITTER = 1e-6
ITERATIONS = 40
SCALE_BOUNDS = (-4.0, 5.0)  # of the logarithm of length scales
NOISE_BOUNDS = (math.log(1e-6), 1.0)
SIGNAL_BOUNDS = (-3.0, 3.0)
# Mean and standard deviation of the logarithm of the noise's variance: little, so that the best can be told apart.
NOISE_PRIOR = (-8.0, 2.0)


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process.

    Attributes:
        x: Inputs (N x D), about 0 to 1.
        scales: Length scales (D).
        signal: Variance of the function.
        noise: Variance of the noise.
        factor: Lower Cholesky factor of the covariance of the observations.
        weights: Covariance^-1 times the observations.
    """

    x: Array
    y: Array
    scales: Array
    signal: float
    noise: float
    factor: Array
    weights: Array

    @classmethod
    def fit(cls, x: Array, y: Array) -> GaussianProcess:
        """Fit to observations `y` (N) with mean 0 and variance 1.

        The prior of the length scales is a log-normal distribution whose median grows with the root of their number
        (Hvarfner et al. 2024, https://arxiv.org/abs/2402.02229): functions of many inputs are assumed smoother.
        """
        width = x.shape[1]
        squares = (x[:, None, :] - x[None, :, :]) ** 2
        start = np.concatenate([np.zeros(width), [math.log(1e-2), 0.0]])
        bounds = [SCALE_BOUNDS] * width + [NOISE_BOUNDS, SIGNAL_BOUNDS]
        found = scipy.optimize.minimize(
            _cost, start, (squares, y), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}
        )
        scales, noise, signal = np.exp(found.x[:width]), math.exp(found.x[width]), math.exp(found.x[width + 1])
        return cls._conditioned(x, y, scales, signal, noise)

    @classmethod
    def _conditioned(cls, x: Array, y: Array, scales: Array, signal: float, noise: float) -> GaussianProcess:
        covariance = signal * _matern(_distances(x, x, scales)) + (noise + JITTER) * np.eye(len(x))
        factor = np.linalg.cholesky(covariance).astype(np.float64)
        return cls(x, y, scales, signal, noise, factor, scipy.linalg.cho_solve((factor, True), y))

    def with_observations(self, x: Array, y: Array) -> GaussianProcess:
        """The process with the same parameters and more observations."""
        return self._conditioned(
            np.vstack([self.x, x]), np.concatenate([self.y, y]), self.scales, self.signal, self.noise
        )

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function, without noise, at inputs (M x D)."""
        between = self.signal * _matern(_distances(x, self.x, self.scales))
        explained = scipy.linalg.solve_triangular(self.factor, between.T, lower=True)
        variance = np.maximum(self.signal - (explained**2).sum(axis=0), 1e-10)
        return between @ self.weights, np.sqrt(variance)


def _distances(left: Array, right: Array, scales: Array) -> Array:
    """Euclidean distances (N x M) in units of the length scales."""
    a, b = left / scales, right / scales
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    distances: Array = np.sqrt(np.maximum(squares, 0.0))
    return distances


def _matern(distances: Array) -> Array:
    r = math.sqrt(5) * distances
    kernel: Array = (1 + r + r**2 / 3) * np.exp(-r)
    return kernel


def _cost(parameters: Array, squares: Array, y: Array) -> tuple[float, Array]:
    """Negative logarithm of the posterior density, and its gradient.

    Args:
        parameters: Logarithms of the length scales (D), of the noise and of the signal.
        squares: Squared differences of the inputs (N x N x D).
        y: Observations (N).
    """
    width = squares.shape[2]
    scales, noise, signal = parameters[:width], parameters[width], parameters[width + 1]
    inverse = np.exp(-2 * scales)
    r = np.sqrt(5 * np.maximum(squares @ inverse, 1e-16))
    decay = np.exp(-r)
    kernel = math.exp(signal) * (1 + r + r**2 / 3) * decay
    covariance = kernel + (math.exp(noise) + JITTER) * np.eye(len(y))
    factor = np.linalg.cholesky(covariance)
    weights = scipy.linalg.cho_solve((factor, True), y)
    inner = (scipy.linalg.cho_solve((factor, True), np.eye(len(y))) - np.outer(weights, weights)) / 2
    # d kernel / d log scale_d = signal * 5/3 * (1 + r) * exp(-r) * squares_d / scale_d^2
    slope = inner * math.exp(signal) * 5 / 3 * (1 + r) * decay
    gradient = np.concatenate(
        [
            np.tensordot(slope, squares, axes=([0, 1], [0, 1])) * inverse,
            [math.exp(noise) * np.trace(inner), float((inner * kernel).sum())],
        ]
    )
    cost = y @ weights / 2 + np.log(np.diag(factor)).sum()
    means = np.concatenate([np.full(width, math.sqrt(2) + math.log(width) / 2), [NOISE_PRIOR[0], 0.0]])
    spreads = np.concatenate([np.full(width, math.sqrt(3)), [NOISE_PRIOR[1], 1.0]])
    off = (parameters - means) / spreads
    return float(cost + (off**2).sum() / 2), gradient + off / spreads
