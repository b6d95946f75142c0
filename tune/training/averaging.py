"""Averages of a model's weights, which often generalize better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn, update_bn

from tune.spec.recipe import TrainingSpec


class Averaging:
    """The running average of a model's weights, if the recipe asks for one (torch's AveragedModel).

    ema: `average += (1 - d) (weights - average)` after every step. d grows with the number of steps n as
    (1 + n) / (10 + n) until it reaches `decay`, so that the first weights are soon forgotten (as in TensorFlow's
    ExponentialMovingAverage). With .999 from the start they would outweigh all others for 690 steps, and a search
    compares trials earlier than that. The statistics of batch normalization are averaged in the same way.

    swa: the mean of the weights after each of the last epochs (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407).
    The statistics of batch normalization are then estimated again by a pass over the training images.

    lookahead: after every k-th step the slow weights move by `alpha` of the way to those that are trained, which are
    then set to them: `slow += alpha (fast - slow); fast = slow` (Zhang et al. 2019, https://arxiv.org/abs/1907.08610).
    The statistics of batch normalization are treated alike, and the optimizer's momentum is kept. The slow weights are
    what is validated.

    Args:
        spec: The recipe.
        model: The model whose weights are averaged, on its device.
    """

    def __init__(self, spec: TrainingSpec, model: nn.Module) -> None:
        self._spec, self._model = spec.averaging, model
        self._epochs_before = self._spec.epochs_before(spec.epochs)
        self._average: AveragedModel | None = None
        if self._spec.name in ("ema", "lookahead"):
            self._average = AveragedModel(model, use_buffers=True)
        elif self._spec.name == "swa":
            self._average = AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn())  # type: ignore[no-untyped-call]

    @property
    def model(self) -> nn.Module:
        """The model to validate and keep: the average if there is one yet, else the model itself."""
        first = self._spec.every if self._spec.name == "lookahead" else 1
        return self._model if self._average is None or self._count < first else self._average.module

    @property
    def _count(self) -> int:
        """How many times the average was updated, or steps of lookahead; a number on the CPU."""
        return 0 if self._average is None else int(self._average.n_averaged)

    def after_step(self) -> None:
        """Update the average after an optimizer step."""
        if self._average is None or self._spec.name == "swa":
            return
        average = self._average.module
        if self._spec.name == "ema":
            decay = min(self._spec.decay, (1 + self._count) / (10 + self._count))
            _move_towards(average, self._model, 1.0 if not self._count else 1 - decay)
        elif (self._count + 1) % self._spec.every == 0:
            _move_towards(average, self._model, self._spec.alpha)
            _move_towards(self._model, average, 1.0)
        self._average.n_averaged += 1

    def after_epoch(self, epoch: int, batches: Iterable[Tensor]) -> None:
        """Update the average after an epoch.

        Args:
            epoch: Counted from 1.
            batches: Training images (B, C, H, W), as the model is trained on them; consumed only if needed.
        """
        if self._average is not None and self._spec.name == "swa" and epoch > self._epochs_before:
            self._average.update_parameters(self._model)
            update_bn(batches, self._average.module)

    def state_dict(self) -> dict[str, Any]:
        """The average and the number of updates; empty without an average."""
        return {} if self._average is None else self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        if self._average is not None:
            self._average.load_state_dict(state)


@torch.no_grad()
def _move_towards(average: nn.Module, model: nn.Module, share: float) -> None:
    """Move an average's parameters and buffers towards those of a model by a share of the way; counts are copied.

    As `AveragedModel.update_parameters` does, which copies its own count to the device at every step and waits for it.
    """
    pairs = list(zip(_tensors(average), _tensors(model), strict=True))
    moved = [pair for pair in pairs if share < 1 and pair[0].is_floating_point()]
    copied = [pair for pair in pairs if share == 1 or not pair[0].is_floating_point()]
    if moved:
        torch._foreach_lerp_([kept for kept, _ in moved], [now for _, now in moved], share)
    if copied:
        torch._foreach_copy_([kept for kept, _ in copied], [now for _, now in copied])


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
