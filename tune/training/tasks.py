"""What models are trained for: how their outputs are computed and judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

import models
from models.vae import VAE
from tune.spec.recipe import TrainingSpec


class Task(Protocol):
    """How a model is applied, and how its outputs are judged. Belongs to one experiment; has no state.

    `images` are the (B, C, H, W) inputs of the model; `labels` are (B,) int64, or (B, classes) float32 shares if
    augmentation mixes images. Outputs are whatever the task's models return, in the precision of the training; tasks
    convert them to float32 before they sum.
    """

    def outputs(self, model: nn.Module, images: Tensor) -> Any:
        """Apply the model, in training or evaluation mode; the result is passed to the other two methods."""

    def loss(self, outputs: Any, images: Tensor, labels: Tensor, *, training: bool) -> Tensor:
        """The mean loss of the batch, a scalar: what is minimized, or what is reported for validation images."""

    def others(self, outputs: Any, images: Tensor, labels: Tensor) -> Sequence[Tensor]:
        """The sums over the batch of the other metrics, scalars in the order of `tune.spec.metric.metrics_of`."""


class Classification:
    """One class per image: (B, classes) logits, cross entropy, accuracy."""

    def __init__(self, spec: TrainingSpec) -> None:
        self._label_smoothing = spec.label_smoothing

    def outputs(self, model: nn.Module, images: Tensor) -> Tensor:
        """The logits."""
        return model(images)  # type: ignore[no-any-return]

    def loss(self, outputs: Tensor, images: Tensor, labels: Tensor, *, training: bool) -> Tensor:
        """Cross entropy, with label smoothing in training only (Szegedy et al. 2016, arXiv 1512.00567, section 7).

        Validation losses with and without smoothing could not be compared.
        """
        smoothing = self._label_smoothing if training else 0.0
        return F.cross_entropy(outputs.float(), labels, label_smoothing=smoothing)

    def others(self, outputs: Tensor, images: Tensor, labels: Tensor) -> Sequence[Tensor]:
        """The number of images whose largest logit is that of the label; for mixed labels, of the largest share."""
        labels = labels.argmax(1) if labels.is_floating_point() else labels
        return ((outputs.argmax(1) == labels).sum(),)


class Reconstruction:
    """Images from a few numbers: the negative evidence lower bound of a VAE (the model is described in `models.vae`).

    Training minimizes `reconstruction + beta * kl` (Higgins et al. 2017, https://openreview.net/forum?id=Sy2fzU9gl).
    That is, up to a constant, beta times the negative bound of a decoder with variance beta. The bound itself, in nats
    per image, is reported for validation images (Rybkin et al. 2021, https://arxiv.org/abs/2006.13202): it can be
    compared across values of beta, and is smallest where the minimized loss is. It equals `reconstruction + kl` if beta
    is 1; otherwise it may be negative, since a density may be greater than 1.

    The densities are those of normalized images, so losses cannot be compared across `data.normalize` or image sizes.

    The expectation over the posterior is estimated by one sample per image, in training and validation alike. The mean
    of the posterior instead of a sample would not give a bound.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        self._beta = spec.beta

    def outputs(self, model: nn.Module, images: Tensor) -> models.Reconstruction:
        """Reconstructions from one sample of each image's posterior, drawn by the device's global generator."""
        assert isinstance(model, VAE)
        return model.reconstruct(images, sample=True)

    def loss(self, outputs: models.Reconstruction, images: Tensor, labels: Tensor, *, training: bool) -> Tensor:
        """The mean over images of the loss that is minimized, or of the negative bound."""
        reconstruction, kl = bound_terms(outputs, images)
        if training:
            return (reconstruction + self._beta * kl).mean()
        return negative_bound(reconstruction, kl, self._beta, images[0].numel()).mean()

    def others(self, outputs: models.Reconstruction, images: Tensor, labels: Tensor) -> Sequence[Tensor]:
        """The sums of both terms, without beta."""
        return tuple(term.sum() for term in bound_terms(outputs, images))


def bound_terms(outputs: models.Reconstruction, images: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of a VAE's loss, per image.

    Args:
        outputs: Of a VAE.
        images: (B, C, H, W), its normalized inputs.

    Returns:
        Reconstruction ||x - decode(z)||^2 / 2, and the KL divergence of the posterior from N(0, I) in nats: sums over
        pixels and dimensions, both (B,) float32.
    """
    mu, logvar = outputs.mu.float(), outputs.logvar.float()
    reconstruction = (images.float() - outputs.images.float()).square().flatten(1).sum(1) / 2
    return reconstruction, (mu.square() + logvar.exp() - 1 - logvar).sum(1) / 2


def negative_bound(reconstruction: Tensor, kl: Tensor, beta: float, numbers: int) -> Tensor:
    """The negative evidence lower bound of a decoder with variance beta, without the constant `numbers` log(2 pi) / 2.

    Args:
        reconstruction: As `bound_terms` gives it.
        kl: The same.
        beta: Variance of each number of an image around the decoder's mean.
        numbers: C H W of an image.

    Returns:
        In nats per image, in the shape of the terms.
    """
    return reconstruction / beta + kl + numbers * math.log(beta) / 2


def bound_of_minimized(loss: Any, beta: float, numbers: int) -> Any:
    """The negative bound of a VAE whose minimized loss, `reconstruction + beta * kl`, is this: a number or a column."""
    return loss / beta + numbers * math.log(beta) / 2


_TASKS: dict[str, Callable[[TrainingSpec], Task]] = {
    "classification": Classification,
    "reconstruction": Reconstruction,
}


def task_of(name: str, spec: TrainingSpec) -> Task:
    """The task of that name (`models.get(...).task`) under a recipe.

    Raises:
        KeyError: There is no such task.
    """
    return _TASKS[name](spec)
