"""What a model is trained for: the seam between the loop and the meaning of a model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch.nn.functional as F  # noqa: N812 - the name the whole field uses
from torch import Tensor

from tune.spec.experiment import TrainingSpec


class Task(Protocol):
    """How outputs are judged. An object of one experiment; holds no state.

    `images` are the (B, C, H, W) inputs as the model got them, `labels` are (B,) int64, or (B, classes) float32 shares
    where augmentation mixes images; a task uses what it needs.
    Outputs come in the precision of the training; a task widens them to float32 before it sums.
    """

    names: tuple[str, ...]
    """Metrics without the prefixes `train_` and `val_`; the first is `loss`."""

    def loss(self, outputs: Tensor, images: Tensor, labels: Tensor, *, training: bool) -> Tensor:
        """The mean loss of the batch, a scalar: what is minimised, or what is reported of validation images."""

    def others(self, outputs: Tensor, images: Tensor, labels: Tensor) -> Sequence[Tensor]:
        """The sums over the batch of the other metrics, scalars in the order of `names`."""


class Classification:
    """One class per image: (B, classes) logits, cross entropy and accuracy."""

    names: tuple[str, ...] = ("loss", "accuracy")

    def __init__(self, spec: TrainingSpec) -> None:
        self._label_smoothing = spec.label_smoothing

    def loss(self, outputs: Tensor, images: Tensor, labels: Tensor, *, training: bool) -> Tensor:
        """Cross entropy, smoothed in training only (Szegedy et al. 2016, arXiv 1512.00567, section 7).

        Plain on validation images: smoothing changes the unit of the loss, and experiments with and without compete.
        """
        smoothing = self._label_smoothing if training else 0.0
        return F.cross_entropy(outputs.float(), labels, label_smoothing=smoothing)

    def others(self, outputs: Tensor, images: Tensor, labels: Tensor) -> Sequence[Tensor]:
        """The number of images whose largest logit is the label's; of a mixed label, the class of the largest share."""
        labels = labels.argmax(1) if labels.is_floating_point() else labels
        return ((outputs.argmax(1) == labels).sum(),)


def check_metric(metric: str, names: Sequence[str]) -> None:
    """Refuse a metric that no epoch of a task with these names will have.

    Raises:
        ValueError: Lists the legal ones.
    """
    legal = [f"{part}_{name}" for part in ("train", "val") for name in names]
    if metric not in legal:
        raise ValueError(f"the metric is {metric!r}; legal: {', '.join(legal)}")


_TASKS: dict[str, Callable[[TrainingSpec], Task]] = {"classification": Classification}


def task_of(name: str, spec: TrainingSpec) -> Task:
    """The task of that name (`models.get(...).task`) under a recipe.

    Raises:
        KeyError: A registered model names a task that nobody has written: a fault of ours, not the user's.
    """
    return _TASKS[name](spec)
