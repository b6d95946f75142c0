"""A convolutional variational autoencoder (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114).

The model is z ~ N(0, I) and x given z ~ N(decode(z), I), where x is the *normalized* image that the network receives.
So the decoder returns means in the space of normalized images, without a final sigmoid; undoing the normalization gives
pixels. Per image, the negative evidence lower bound is

    reconstruction  ||x - decode(z)||^2 / 2, summed over pixels and channels (+ C H W log(2 pi) / 2, a constant)
    KL              (mu^2 + exp(logvar) - 1 - logvar) / 2, summed over the latent dimensions

and with a weight beta on the KL (Higgins et al. 2017) it is, up to scale and a constant, that of a decoder with
variance beta instead of 1. Both terms are sums over an image; averaging the reconstruction over pixels would make it
negligible beside the KL.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.blocks import ACTIVATIONS, Activation, Norm, Width, conv_norm_activation
from models.classifier_plan import Channels, Layers, StagePlan, stage_plan
from models.pooling import Pooling, pool


class Reconstruction(NamedTuple):
    """The output of a VAE for images (B, C, H, W).

    Attributes:
        images: (B, C, H, W), the decoder's means, in the space of the normalized input.
        mu: (B, latent_dim), mean of the posterior.
        logvar: (B, latent_dim), logarithm of its variance.
    """

    images: Tensor
    mu: Tensor
    logvar: Tensor


class VAE(nn.Module):
    """Encoder, latent Gaussian and decoder.

    The encoder has the stages of the parametric classifier: convolution, norm, activation, pooling. The decoder
    reverses them by nearest-neighbour upsampling and convolution, which avoids checkerboard artifacts (Odena et al.
    2016, https://distill.pub/2016/deconv-checkerboard), and ends with a plain convolution to the image's channels.

    Args:
        plan: channels and sizes of the encoder's stages.
        side: of the image, in pixels.
        latent_dim: number of latent dimensions.
        activation: name of the activation.
        pooling: name of the encoder's pooling.
        norm: name of the norm after each convolution except the last.

    Attributes:
        latent_dim: number of latent dimensions; `decode(torch.randn(n, vae.latent_dim))` samples n images.
    """

    def __init__(
        self, plan: StagePlan, side: int, latent_dim: int, *, activation: Activation, pooling: Pooling, norm: Norm
    ) -> None:
        super().__init__()
        steps = zip(pairwise(plan.channels), pairwise((side, *plan.sizes)), strict=True)
        last, size = plan.channels[-1], plan.sizes[-1]
        # The stages in reverse. The last one keeps its channels; the plain convolution maps them to the image's.
        channels_back = (*reversed(plan.channels[1:]), plan.channels[1])
        steps_back = zip(pairwise(channels_back), reversed((side, *plan.sizes[:-1])), strict=True)

        def encoding(
            in_channels: int, out_channels: int, in_size: int, out_size: int
        ) -> Iterator[tuple[str, nn.Module]]:
            yield from conv_norm_activation(in_channels, out_channels, norm=norm, activation=activation)
            yield "pool", pool(pooling, in_size, out_size)

        def decoding(in_channels: int, out_channels: int, size: int) -> Iterator[tuple[str, nn.Module]]:
            yield "enlarge", nn.Upsample(size=(size, size), mode="nearest")
            yield from conv_norm_activation(in_channels, out_channels, norm=norm, activation=activation)

        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(*(nn.Sequential(OrderedDict(encoding(*c, *s))) for c, s in steps), nn.Flatten())
        self.mu = nn.Linear(last * size**2, latent_dim)
        self.logvar = nn.Linear(last * size**2, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, last * size**2),
            ACTIVATIONS[activation](),
            nn.Unflatten(1, (last, size, size)),
            *(nn.Sequential(OrderedDict(decoding(*c, s))) for c, s in steps_back),
            nn.Conv2d(plan.channels[1], plan.channels[0], kernel_size=3, padding=1),
        )

    def forward(self, images: Tensor) -> Reconstruction:
        """Map images (B, C, H, W) to their reconstruction.

        In training, z is drawn from the posterior as mu + exp(logvar / 2) * eps, with eps from the device's global
        generator. In evaluation, z = mu.
        """
        return self.reconstruct(images, sample=self.training)

    def reconstruct(self, images: Tensor, *, sample: bool) -> Reconstruction:
        """Map images (B, C, H, W) to their reconstruction from a sample of the posterior (`sample`), or from its mean.

        The expectation in the bound is over samples; reconstructions look best from the mean.
        """
        mu, logvar = self.encode(images)
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu) if sample else mu
        return Reconstruction(self.decode(z), mu, logvar)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, C, H, W) to the posterior's mu and logvar, both (B, latent_dim)."""
        features = self.encoder(images)
        return self.mu(features), self.logvar(features)

    def decode(self, z: Tensor) -> Tensor:
        """Map z (B, latent_dim) to the means of images (B, C, H, W), in the space of the normalized input."""
        images: Tensor = self.decoder(z)
        return images


def vae(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: Channels = 32,
    final_channels: Channels = 128,
    cnn_layers: Layers = 4,
    latent_dim: Width = 128,
    activation: Activation = "mish",
    pooling: Pooling = "average",
    norm: Norm = "batch",
) -> VAE:
    """Build the VAE for square images; `classes` is not used."""
    numbers = stage_plan("vae", input_shape, starting_channels, final_channels, cnn_layers)
    return VAE(numbers, input_shape[-1], latent_dim, activation=activation, pooling=pooling, norm=norm)


def check_vae(
    input_shape: Sequence[int],
    classes: int,
    *,
    starting_channels: int,
    final_channels: int,
    cnn_layers: int,
    **_others: object,
) -> StagePlan:
    """Return the plan of these options; raise `ModelError` if there is none."""
    return stage_plan("vae", input_shape, starting_channels, final_channels, cnn_layers)
