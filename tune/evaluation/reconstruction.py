"""A VAE judged, and what it makes: reconstructions, draws, and walks between two images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

import data
from models.vae import VAE
from tune.evaluation.inference import BATCH_NUMBERS, applying, batch_size, index_of
from tune.evaluation.pictures import PAPER, sheet
from tune.evaluation.result import EvaluationResult, Grid
from tune.runs.weights import TrainedRun
from tune.training import bound_terms, negative_bound, seeded, stream_seed

GRID = (4, 8)  # rows and columns of the picture of reconstructions, where none is asked for
GRID_SEED = 0


@dataclass(frozen=True)
class Terms:
    """What a VAE says of images, (N,) float64 each on the CPU.

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


def judge(run: TrainedRun, images: data.Resident, title: str, grid: Grid | None) -> EvaluationResult:
    """The bound and its terms, and a picture of images above their reconstructions; `title` is not needed."""
    found = terms(run, images).columns()
    index = index_of(images)
    labels = images.labels[index]
    table = pd.DataFrame({"index": index, "label": labels, **found})
    table["label_name"] = [run.info.classes[label] for label in labels.tolist()]
    grid = grid or _default_grid(len(images))
    picture = reconstructions_picture(run, _drawn(images, grid), grid[1])
    scores = {"n": len(images), **{name: values.mean().item() for name, values in found.items()}}
    return EvaluationResult(scores, table, {"reconstructions": picture})


def terms(run: TrainedRun, images: data.Resident) -> Terms:
    """The bound and its terms for images on the CPU, as in validation.

    The expectation is estimated by one draw of each posterior, which follows from the experiment's seed.
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
    """Images as the model gives them back from the means of their posteriors: (N, C, H, W) uint8 on the CPU."""
    with applying(run) as device:
        batches = (vae_of(run)(batch.to(device)).images for batch, _ in images.batches(batch_size(images)))
        return torch.cat([_pixels(run, batch) for batch in batches])


def sample(run: TrainedRun, count: int, seed: int) -> Tensor:
    """The decoder's means for draws z ~ N(0, I), the same on every device: (count, C, H, W) uint8 on the CPU."""
    z = torch.randn(count, vae_of(run).latent_dim, generator=torch.Generator().manual_seed(seed))
    return _decode(run, z)


def interpolate(run: TrainedRun, pair: data.Resident, steps: int) -> Tensor:
    """Images on the way between two, both ends included: (steps, C, H, W) uint8 on the CPU.

    The way is the straight line between the means of the two posteriors. A great circle (White 2016, arXiv 1609.04468)
    suits two draws of N(0, I); means of posteriors are shorter, by how much the KL leaves idle, and may point in
    opposite or the same directions, where there is no one circle.
    """
    with applying(run) as device:
        (batch, _), *_ = pair.batches(2)
        mu, _ = vae_of(run).encode(batch.to(device))
        weights = torch.linspace(0, 1, steps, device=device)[:, None]
        ways = torch.lerp(mu[:1].float(), mu[1:].float(), weights)
    return _decode(run, ways)


def reconstructions_picture(run: TrainedRun, images: data.Resident, columns: int) -> bytes:
    """A PNG of all these images, so many in a row; each row above the row of its reconstructions."""
    columns = min(columns, len(images))
    both = torch.stack([images.images[index_of(images)], reconstruct(run, images)], 1)  # (N, 2, C, H, W)
    missing = -len(both) % columns
    both = torch.cat([both, torch.full((missing, *both.shape[1:]), PAPER, dtype=torch.uint8)])
    return sheet(both.reshape(-1, columns, *both.shape[1:]).transpose(1, 2).flatten(0, 1), group=2)


def vae_of(run: TrainedRun) -> VAE:
    """The run's model, which is one for reconstruction."""
    assert isinstance(run.model, VAE)
    return run.model


def _decode(run: TrainedRun, z: Tensor) -> Tensor:
    size = max(1, BATCH_NUMBERS // math.prod(run.info.input_shape))
    with applying(run) as device:
        return torch.cat([_pixels(run, vae_of(run).decode(part.to(device))) for part in torch.split(z, size)])


def _pixels(run: TrainedRun, images: Tensor) -> Tensor:
    """Without the normalization."""
    values = run.info.normalization
    return data.Normalization(values.mean, values.std).pixels(images).cpu()


def _drawn(images: data.Resident, grid: Grid) -> data.Resident:
    """As many images as the grid holds, drawn at random, always the same ones."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(GRID_SEED))
    chosen = index_of(images)[order[: grid[0] * grid[1]]]
    return data.Resident(images.images, images.labels, chosen, normalization=images.normalization)


def _default_grid(images: int) -> Grid:
    """The usual picture, or a smaller one of fewer images."""
    columns = min(GRID[1], images)
    return min(GRID[0], images // columns), columns
