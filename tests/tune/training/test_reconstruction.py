"""The reconstruction task against torch's distributions, against likelihoods known exactly, and in the loop."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, LowRankMultivariateNormal, Normal, kl_divergence

import models
from models.vae import VAE
from tune.spec.metric import METRICS, Objective, metrics_of
from tune.training import End, train
from tune.training.tasks import Classification, Reconstruction, Task, bound_terms, negative_bound, task_of

from .conftest import Make, Start

VAE_OPTIONS: dict[str, Any] = {
    "name": "vae", "cnn_layers": 2, "starting_channels": 8, "final_channels": 12, "latent_dim": 3,
}  # fmt: skip
BETAS = [0.05, 0.5, 1.0, 4.0]


def task(make: Make, beta: float) -> Reconstruction:
    return Reconstruction(make(model=VAE_OPTIONS, beta=beta).training)


def outputs(images: Tensor, *, dtype: torch.dtype = torch.float32) -> models.Reconstruction:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(images.shape, generator=generator)
    mu, logvar = (torch.randn(len(images), 3, generator=generator) for _ in range(2))
    return models.Reconstruction((images + noise).to(dtype), mu.to(dtype), logvar.to(dtype))


def log_prob(distribution: Distribution, values: Tensor) -> Tensor:
    found: Tensor = distribution.log_prob(values)
    return found


@pytest.mark.parametrize("beta", BETAS)
def test_the_loss_is_the_bound_of_a_decoder_with_variance_beta(make: Make, beta: float) -> None:
    images = torch.randn(5, 2, 4, 4)
    out = outputs(images)
    likelihood = log_prob(Normal(out.images, math.sqrt(beta)), images).sum((1, 2, 3))
    kl = kl_divergence(Normal(out.mu, (out.logvar / 2).exp()), Normal(0.0, 1.0)).sum(1)
    constant = 32 * math.log(2 * math.pi) / 2
    found = task(make, beta).loss(out, images, torch.zeros(5), training=False)
    torch.testing.assert_close(found, (kl - likelihood).mean() - constant)
    minimised = task(make, beta).loss(out, images, torch.zeros(5), training=True)
    squares = (images - out.images).square().sum((1, 2, 3)) / 2
    torch.testing.assert_close(minimised, (squares + beta * kl).mean())
    reconstruction, divergence = task(make, beta).others(out, images, torch.zeros(5))
    torch.testing.assert_close(reconstruction, squares.sum())
    torch.testing.assert_close(divergence, kl.sum())


@pytest.mark.parametrize("beta", BETAS)
def test_what_is_minimised_is_the_bound_up_to_scale_and_constant(make: Make, beta: float) -> None:
    """So that the best epoch by validation is the best by what is trained for."""
    one, other = (torch.randn(3, 1, 4, 4) for _ in range(2))
    judge = task(make, beta)
    minimised, bound = (
        judge.loss(outputs(one), one, one, training=training) - judge.loss(outputs(one), other, one, training=training)
        for training in (True, False)
    )
    torch.testing.assert_close(minimised, beta * bound)


@pytest.mark.parametrize("beta", BETAS)
def test_it_bounds_a_likelihood_that_is_known(beta: float) -> None:
    """A linear decoder's images are Gaussian: no posterior goes below, the true one touches."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    images = torch.randn(1, 1, 2, 3, generator=generator, dtype=torch.float64)
    x = images.view(6)
    exact = -log_prob(LowRankMultivariateNormal(torch.zeros(6).double(), weights, torch.full((6,), beta).double()), x)
    exact -= 6 * math.log(2 * math.pi) / 2
    # Axes of the latent space in which the true posterior is diagonal, as the VAE's is.
    _, axes = torch.linalg.eigh(weights.T @ weights)
    weights = weights @ axes
    precision = 1 + (weights.T @ weights).diagonal() / beta
    mean = weights.T @ x / beta / precision

    def bound(mu: Tensor, variance: Tensor) -> Tensor:
        z = mu + variance.sqrt() * torch.randn(20_000, 2, generator=generator, dtype=torch.float64)
        out = models.Reconstruction(
            (z @ weights.T).view(-1, 1, 2, 3), *(v.expand(20_000, 2) for v in (mu, variance.log()))
        )
        return negative_bound(*bound_terms(out, images), beta, 6).double().mean()

    assert bound(mean, 1 / precision).item() == pytest.approx(exact.item(), abs=0.05)
    for scale in (0.3, 3.0):
        assert bound(mean, scale / precision) > exact + 0.05
        assert bound(mean + scale * precision.rsqrt(), 1 / precision) > exact + 0.02


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_are_in_float32(make: Make, dtype: torch.dtype) -> None:
    images = torch.randn(2, 3, 200, 200)  # 60,000 squares of about 2: above float16's 65,504
    out = outputs(images, dtype=dtype)
    loss = task(make, 1.0).loss(out, images, images, training=True)
    assert loss.dtype == torch.float32
    widened = models.Reconstruction(*(part.float() for part in out))
    assert loss == task(make, 1.0).loss(widened, images, images, training=True)


def test_every_task_keeps_to_the_protocol(make: Make) -> None:
    names = ("classification", "reconstruction")
    tasks: list[Task] = [task_of(name, make().training) for name in names]
    assert [type(one) for one in tasks] == [Classification, Reconstruction]
    assert {models.get(name).task for name in models.names()} == set(names)
    images, labels = torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)
    for task_name, one, model in zip(names, tasks, ({"name": "mnist_mlr"}, VAE_OPTIONS), strict=True):
        options = {key: value for key, value in model.items() if key != "name"}
        found = one.outputs(models.build(model["name"], (1, 8, 8), 10, **options), images)
        others = one.others(found, images, labels)
        kinds = [metric.kind for metric in metrics_of(task_name) if metric.part == "train"]
        assert kinds[0] == "loss"
        assert len(others) == len(kinds) - 1
        losses = [one.loss(found, images, labels, training=training) for training in (True, False)]
        assert all(value.shape == () for value in [*losses, *others])
        assert all(loss.requires_grad for loss in losses)


def test_validation_draws_from_the_posterior_as_training_does(make: Make) -> None:
    """From the mean it would be no bound."""
    model = models.build("vae", (1, 8, 8), 10, cnn_layers=2, latent_dim=3).eval()
    assert isinstance(model, VAE)
    images, judge = torch.randn(4, 1, 8, 8), task(make, 1.0)
    torch.manual_seed(3)
    one, other = (judge.outputs(model, images) for _ in range(2))
    assert not torch.equal(one.images, other.images)
    torch.manual_seed(3)
    z = one.mu + (one.logvar / 2).exp() * torch.randn(4, 3)
    assert torch.equal(one.images, model.decode(z))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_trains_on_digits(start: Start, precision: str) -> None:
    data = {"train_limit": 600}
    training = start(
        model=VAE_OPTIONS, data=data, epochs=6, beta=0.1, precision=precision, optimizer={"lr": 0.01}, batch_size=64
    )
    assert train(training) is End.EPOCHS
    first, last = training.history[0].values, training.history[-1].values
    assert list(last) == [f"{part}_{name}" for part in ("train", "val") for name in ("loss", "reconstruction", "kl")]
    assert last["train_loss"] == pytest.approx(last["train_reconstruction"] + 0.1 * last["train_kl"])
    bound = 10 * last["val_reconstruction"] + last["val_kl"] + 32 * math.log(0.1)
    assert last["val_loss"] == pytest.approx(bound, abs=1e-3)  # float32 sums of 64 numbers
    assert last["val_loss"] < first["val_loss"] - 20
    assert training.best is training.history[-1]


def test_beta_one_is_the_plain_bound(start: Start) -> None:
    training = start(model=VAE_OPTIONS, epochs=1)
    values = training.run_epoch().values
    for part in ("train", "val"):
        assert values[f"{part}_loss"] == pytest.approx(values[f"{part}_reconstruction"] + values[f"{part}_kl"])


def test_a_metric_of_another_task_is_refused(start: Start) -> None:
    with pytest.raises(ValueError, match="one of train_loss, train_reconstruction, train_kl, val_loss, "):
        start(model=VAE_OPTIONS, options={"objective": Objective(METRICS["val_accuracy"])})
