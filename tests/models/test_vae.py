"""The variational autoencoder: its shapes, its chance, and that it learns what its docstring says."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import models
from models.vae import VAE, Reconstruction


def build(shape: tuple[int, int, int] = (1, 28, 28), **options: Any) -> VAE:
    torch.manual_seed(0)
    model = models.build("vae", shape, 10, **options)
    assert isinstance(model, VAE)
    return model


SHAPES: list[tuple[tuple[int, int, int], dict[str, Any]]] = [
    ((1, 28, 28), {}),
    ((3, 32, 32), {"cnn_layers": 5, "starting_channels": 20, "final_channels": 7, "latent_dim": 3}),
    ((2, 33, 33), {"cnn_layers": 6, "norm": "group", "activation": "relu"}),
    ((4, 3, 3), {"cnn_layers": 1, "starting_channels": 8, "final_channels": 8, "norm": "none"}),
    ((1, 8, 8), {"cnn_layers": 2, "pooling": "fractional"}),
    ((3, 64, 64), {"pooling": "max", "latent_dim": 1}),
]


@pytest.mark.parametrize(("shape", "options"), SHAPES)
def test_shapes(shape: tuple[int, int, int], options: dict[str, Any]) -> None:
    assert len(SHAPES) == 6
    vae, images = build(shape, **options), torch.randn(5, *shape)
    latent = (5, options.get("latent_dim", 128))
    for training in (True, False):
        out = vae.train(training)(images)
        assert isinstance(out, Reconstruction)
        assert out.images.shape == images.shape
        assert out.mu.shape == out.logvar.shape == latent
    mu, logvar = vae.encode(images)
    assert mu.shape == logvar.shape == latent
    assert vae.latent_dim == latent[1]
    assert vae.decode(torch.randn(7, vae.latent_dim)).shape == (7, *shape)


def test_the_plan_is_the_classifiers_and_the_decoder_goes_it_back() -> None:
    vae = build((3, 32, 32))
    convolutions = [m for m in vae.modules() if isinstance(m, torch.nn.Conv2d)]
    pairs = [(c.in_channels, c.out_channels) for c in convolutions]
    plan = models.plan((3, 32, 32), 10, starting_channels=32, final_channels=128, cnn_layers=4, fcn_layers=1)
    c = plan.channels
    assert pairs[:4] == [(c[0], c[1]), (c[1], c[2]), (c[2], c[3]), (c[3], c[4])]
    assert pairs[4:] == [(c[4], c[3]), (c[3], c[2]), (c[2], c[1]), (c[1], c[1]), (c[1], c[0])]
    sizes = [m.size for m in vae.modules() if isinstance(m, torch.nn.Upsample)]
    assert sizes == [(s, s) for s in (*plan.sizes[-2::-1], 32)]


def test_count_by_hand() -> None:
    convolutions = sum(9 * i * o + o for i, o in [(1, 4), (4, 6), (6, 4), (4, 4), (4, 1)])
    norms = 2 * (4 + 6 + 4 + 4)
    linears = 2 * (24 * 5 + 5) + (5 * 24 + 24)
    options = {"cnn_layers": 2, "starting_channels": 4, "final_channels": 6, "latent_dim": 5}
    assert models.cost_of("vae", (1, 28, 28), 10, **options).parameters == convolutions + norms + linears


def test_evaluation_decodes_the_mean() -> None:
    vae, images = build().eval(), torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        out = vae(images)
        assert torch.equal(out.images, vae.decode(out.mu))
        assert all(map(torch.equal, vae.encode(images), (out.mu, out.logvar)))


def test_training_draws_from_the_posterior() -> None:
    """z = mu + sigma * eps, eps being standard normal numbers of the global generator."""
    vae, images = build(norm="none").train(), torch.randn(3, 1, 28, 28)
    torch.manual_seed(4)
    with torch.no_grad():
        out = vae(images)
        torch.manual_seed(4)
        z = out.mu + torch.exp(out.logvar / 2) * torch.randn(3, 128)
        assert torch.equal(out.images, vae.decode(z))
        assert not torch.equal(out.images, vae(images).images)


def test_another_number_of_classes_changes_nothing() -> None:
    assert models.cost_of("vae", (1, 28, 28), 1) == models.cost_of("vae", (1, 28, 28), 1000)


def negative_elbo(out: Reconstruction, images: Tensor) -> Tensor:
    """By torch's own distributions, per image and without the constant."""
    constant = images[0].numel() * math.log(2 * math.pi) / 2
    normal = torch.distributions.Normal(out.images, 1.0)
    likelihood: Tensor = normal.log_prob(images).sum((1, 2, 3))  # type: ignore[no-untyped-call]
    posterior = torch.distributions.Normal(out.mu, (out.logvar / 2).exp())
    kl: Tensor = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    return (kl - likelihood - constant).mean()


def test_the_bound_is_what_the_docstring_says() -> None:
    images = torch.randn(4, 1, 28, 28)
    out = build()(images)
    squares = (images - out.images).square().sum((1, 2, 3)) / 2
    kl = ((out.mu**2 + out.logvar.exp() - 1 - out.logvar) / 2).sum(1)
    torch.testing.assert_close(negative_elbo(out, images), (squares + kl).mean())


def test_it_learns() -> None:
    """Bars at random places, in -1..1: after a few steps the bound beats that of the mean image."""
    vae = build((1, 8, 8), cnn_layers=2, starting_channels=16, final_channels=16, latent_dim=4)
    generator = torch.Generator().manual_seed(0)
    images = -torch.ones(256, 1, 8, 8)
    images[torch.arange(256), 0, torch.randint(8, (256,), generator=generator)] = 1
    optimizer = torch.optim.Adam(vae.parameters(), lr=5e-3)
    for step in range(150):
        batch = images[torch.arange(64) + 64 * (step % 4)]
        optimizer.zero_grad()
        torch.autograd.backward(negative_elbo(vae.train()(batch), batch))
        optimizer.step()
    with torch.no_grad():
        bound = negative_elbo(vae.eval()(images), images)
        unconditional = (images - images.mean(0)).square().sum((1, 2, 3)).mean() / 2
    assert bound < 0.7 * unconditional


def test_a_side_without_a_plan_is_refused() -> None:
    with pytest.raises(models.ModelError, match=r"^vae: images must be square \(got 28 x 27 pixels\)$"):
        models.check("vae", (1, 28, 27), 10)
    with pytest.raises(models.ModelError, match=r"^vae: images must be at least 3 x 3 pixels"):
        models.build("vae", (1, 2, 2), 10)
    with pytest.raises(models.ModelError, match=r"^vae: with cnn_layers=1, .* must be equal \(got 32"):
        models.check("vae", (1, 28, 28), 10, cnn_layers=1)
