"""The metrics of an epoch: the sums they are computed from, those of validation, and when they end a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from tune.spec.metric import EpochMetrics, Objective
from tune.spec.recipe import EarlyStoppingSpec
from tune.training.tasks import Task

# Numbers (pixels x channels) in a validation batch, unless the training's batch has more. Activations are not kept, so
# memory does not limit it; on the CPU, caches do: simple_cnn takes three times as long with batches of 1,000 images.
VALIDATION_NUMBERS = {"cpu": 2**18, "cuda": 2**22}


def best_of(history: Sequence[EpochMetrics], objective: Objective) -> EpochMetrics | None:
    """The best epoch; None if there is none.

    Without validation images no epoch has a `val_*` metric to choose by: the best is then the latest that has not
    diverged.
    """
    if any(objective.metric.name in metrics.values for metrics in history):
        return objective.best(history)
    return next((metrics for metrics in reversed(history) if metrics.finite), None)


class End(StrEnum):
    """Why a training has ended."""

    EPOCHS = "epochs"
    """All its epochs are done."""
    EARLY_STOPPING = "early_stopping"
    """The validation loss stopped improving."""
    DIVERGED = "diverged"
    """A loss is not finite."""


def end_of(history: Sequence[EpochMetrics], epochs: int, stopping: EarlyStoppingSpec | None) -> End | None:
    """Why a training of so many epochs has ended; None while it has not."""
    if history and not history[-1].finite:
        return End.DIVERGED
    if len(history) >= epochs:
        return End.EPOCHS
    losses = [metrics.values["val_loss"] for metrics in history if "val_loss" in metrics.values]
    if stopping is not None and out_of_patience(losses, stopping.patience, stopping.min_delta):
        return End.EARLY_STOPPING
    return None


def out_of_patience(losses: Iterable[float], patience: int, min_delta: float) -> bool:
    """Whether early stopping ends a training with these validation losses, one per epoch.

    An epoch improves if its loss is more than `min_delta` below that of the last epoch that improved; after `patience`
    epochs in a row without improvement the training ends. Depends on the losses alone: there is no counter to save.
    """
    reference, waited = math.inf, 0
    for loss in losses:
        if loss < reference - min_delta:
            reference, waited = loss, 0
        else:
            waited += 1
        if waited >= patience:
            return True
    return False


class Sums:
    """Running sums of metrics on the device, in float64. Only `means` waits for a GPU.

    Args:
        names: Of the metrics; the first is the loss.
        device: Where their values are computed.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names = tuple(names)
        self._totals = torch.zeros(len(self._names), dtype=torch.float64, device=device)
        self._parts = self._totals.unbind()
        self._images = 0
        self._earlier: _Fetched | None = None

    def add(self, loss: Tensor, others: Sequence[Tensor], images: int) -> None:
        """Add a batch: its mean loss, the sums of the other metrics, and its number of images."""
        with torch.no_grad():
            self._parts[0].add_(loss, alpha=images)
            for part, value in zip(self._parts[1:], others, strict=True):
                part.add_(value)
        self._images += images

    def finite(self) -> bool:
        """Whether every loss so far was finite; on a GPU, every loss until the call before this one.

        The GPU may be many steps behind the CPU. The value is therefore fetched while it works, and read a call later.
        """
        if self._totals.device.type != "cuda":
            return math.isfinite(self._parts[0].item())
        earlier, self._earlier = self._earlier, _Fetched(self._parts[0])
        return earlier is None or math.isfinite(earlier.value())

    def means(self) -> dict[str, float]:
        """Means per image by name. Waits for the device."""
        totals = self._totals.tolist()
        return {name: total / self._images for name, total in zip(self._names, totals, strict=True)}


@torch.inference_mode()
def measured(
    batches: Iterable[tuple[Tensor, Tensor]], outputs: Callable[[Tensor], Any], task: Task, sums: Sums
) -> dict[str, float]:
    """The means of a task's metrics over batches of images that are not trained on; `outputs` applies the model."""
    for images, labels in batches:
        found = outputs(images)
        loss = task.loss(found, images, labels, training=False)
        sums.add(loss, task.others(found, images, labels), len(labels))
    return sums.means()


def validation_batch_size(input_shape: Sequence[int], training: int, device: torch.device) -> int:
    """Images in a batch that is not trained on: as many as in `training`, or as many as are fast."""
    return max(training, VALIDATION_NUMBERS[device.type] // math.prod(input_shape))


class _Fetched:
    """A number on its way from a GPU to the CPU."""

    def __init__(self, number: Tensor) -> None:
        self._copy = torch.empty((), dtype=number.dtype, pin_memory=True)
        self._copy.copy_(number, non_blocking=True)
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()

    def value(self) -> float:
        """The number, as it was when it was fetched; waits until it has arrived."""
        self._arrived.synchronize()
        return self._copy.item()
