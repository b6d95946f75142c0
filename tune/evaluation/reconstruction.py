"""Evaluate a VAE, and what it generates: reconstructions, samples, and interpolations between two images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
from torch import Tensor

import data
from models.vae import VAE
from tune.evaluation.inference import BATCH_NUMBERS, applying, batch_size, index_of
from tune.evaluation.pictures import pairs
from tune.evaluation.result import EvaluationResult, Extras, Grid
from tune.runs.weights import TrainedRun
from tune.training import bound_terms, negative_bound, seeded, stream_seed

GRID = (4, 8)  # rows and columns of the picture of reconstructions, by default
GRID_SEED = 0


@dataclass(frozen=True)
class Terms:
    """The loss of a VAE and its two terms per image, (N,) float64 each on the CPU.

    Attributes:
        loss: The negative evidence lower bound, in nats, as in validation (`tune.training.tasks`).
        reconstruction: Half the squared distance to the reconstruction.
        kl: Of the posterior, in nats.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor

    def columns(self) -> dict[str, Tensor]:
        """By name."""
        return {"loss": self.loss, "reconstruction": self.reconstruction, "kl": self.kl}


def evaluate(
    run: TrainedRun, images: data.Resident, validation: data.Resident | None, title: str, extras: Extras
) -> EvaluationResult:
    """The loss and its terms, and a picture of images above their reconstructions; `title` is not used."""
    found = terms(run, images).columns()
    index = index_of(images)
    labels = images.labels[index]
    table = pd.DataFrame({"index": index, "label": labels, **found})
    table["label_name"] = [run.info.classes[label] for label in labels.tolist()]
    grid = extras.predictions or _default_grid(len(images))
    picture = partial(reconstructions_picture, run, _drawn(images, grid), grid[1])
    scores = {"n": len(images), **{name: values.mean().item() for name, values in found.items()}}
    return EvaluationResult(scores, table, {"reconstructions": picture})


def terms(run: TrainedRun, images: data.Resident) -> Terms:
    """The loss and its terms for images on the CPU, as in validation.

    The expectation is estimated with one sample per posterior, seeded by the experiment's seed.
    """
    model, found = vae_of(run), list[tuple[Tensor, Tensor]]()
    with applying(run) as device, seeded(stream_seed(run.experiment.seed, "evaluation"), device):
        for batch, _ in images.batches(batch_size(images)):
            batch = batch.to(device)
            found.append(bound_terms(model.reconstruct(batch, sample=True), batch))
    reconstruction, kl = (torch.cat(parts).cpu().double() for parts in zip(*found, strict=True))
    loss = negative_bound(reconstruction, kl, run.experiment.training.beta, images.images[0].numel())
    return Terms(loss, reconstruction, kl)


def reconstruct(run: TrainedRun, images: data.Resident) -> Tensor:
    """Reconstructions from the means of the posteriors: (N, C, H, W) uint8 on the CPU."""
    with applying(run) as device:
        batches = (vae_of(run)(batch.to(device)).images for batch, _ in images.batches(batch_size(images)))
        return torch.cat([_pixels(run, batch) for batch in batches])


def sample(run: TrainedRun, count: int, seed: int) -> Tensor:
    """Decoded samples z ~ N(0, I), the same z on every device: (count, C, H, W) uint8 on the CPU."""
    z = torch.randn(count, vae_of(run).latent_dim, generator=torch.Generator().manual_seed(seed))
    return _decode(run, z)


def interpolate(run: TrainedRun, pair: data.Resident, steps: int) -> Tensor:
    """Images from one to another, both ends included: (steps, C, H, W) uint8 on the CPU.

    The latents lie on the straight line between the means of the two posteriors. Spherical interpolation (White 2016,
    arXiv 1609.04468) suits two samples of N(0, I); posterior means are shorter, since some latents stay unused, and may
    point in opposite or in the same directions, where it is undefined.
    """
    with applying(run) as device:
        (batch, _), *_ = pair.batches(2)
        mu, _ = vae_of(run).encode(batch.to(device))
        weights = torch.linspace(0, 1, steps, device=device)[:, None]
        latents = torch.lerp(mu[:1].float(), mu[1:].float(), weights)
    return _decode(run, latents)


def reconstructions_picture(run: TrainedRun, images: data.Resident, columns: int) -> bytes:
    """A PNG of images, `columns` in a row, each above its reconstruction."""
    return pairs(images.images[index_of(images)], reconstruct(run, images), columns, ("image", "reconstruction"))


def vae_of(run: TrainedRun) -> VAE:
    """The run's model."""
    assert isinstance(run.model, VAE)
    return run.model


def _decode(run: TrainedRun, z: Tensor) -> Tensor:
    size = max(1, BATCH_NUMBERS // math.prod(run.info.input_shape))
    with applying(run) as device:
        return torch.cat([_pixels(run, vae_of(run).decode(part.to(device))) for part in torch.split(z, size)])


def _pixels(run: TrainedRun, images: Tensor) -> Tensor:
    """Undo the normalization."""
    values = run.info.normalization
    return data.Normalization(values.mean, values.std).pixels(images).cpu()


def _drawn(images: data.Resident, grid: Grid) -> data.Resident:
    """A random choice of images that fills the grid, the same each time."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(GRID_SEED))
    chosen = index_of(images)[order[: grid[0] * grid[1]]]
    return data.Resident(images.images, images.labels, chosen, normalization=images.normalization)


def _default_grid(images: int) -> Grid:
    """`GRID`, or less for fewer images."""
    columns = min(GRID[1], images)
    return min(GRID[0], images // columns), columns
