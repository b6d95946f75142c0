"""A run's model applied: in evaluation mode, with the threads and in the precision it was trained in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

import data
from tune.runs.weights import TrainedRun
from tune.training import autocast, cpu_threads

BATCH_NUMBERS = 2**18  # pixels x channels in a batch: what a CPU's caches hold; a GPU is busy enough with it


@contextmanager
def applying(run: TrainedRun) -> Iterator[torch.device]:
    """The context in which a run's model is applied; gives the device where it lies."""
    spec = run.experiment.training
    device = next(run.model.parameters()).device
    with torch.inference_mode(), cpu_threads(spec.threads or torch.get_num_threads()), autocast(spec, device):
        yield device


def batch_size(images: data.Resident) -> int:
    """How many of these images the model is given at once."""
    return max(1, BATCH_NUMBERS // images.images[0].numel())


def index_of(images: data.Resident) -> torch.Tensor:
    """Each image's position in its part of the data set, (N,) int64."""
    return images.index if images.index is not None else torch.arange(len(images))
