"""Apply a run's model: in evaluation mode, with the threads and in the precision it was trained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

import data
from tune.runs.weights import TrainedRun
from tune.training import autocast, cpu_threads

BATCH_NUMBERS = 2**18  # numbers (pixels x channels) per batch: what a CPU's caches hold, and enough for a GPU


@contextmanager
def applying(run: TrainedRun) -> Iterator[torch.device]:
    """The context in which a run's model is applied; gives the model's device."""
    spec = run.experiment.training
    device = next(run.model.parameters()).device
    with torch.inference_mode(), cpu_threads(spec.threads or torch.get_num_threads()), autocast(spec, device):
        yield device


def batch_size(images: data.Resident, outputs: int = 1) -> int:
    """How many of these images to give the model at once, given the outputs per image."""
    return max(1, BATCH_NUMBERS // max(images.images[0].numel(), outputs))


def index_of(images: data.Resident) -> torch.Tensor:
    """Each image's position in its part of the data set, (N,) int64."""
    return images.index if images.index is not None else torch.arange(len(images))
