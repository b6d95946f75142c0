"""Averages of a model's weights, which are often better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn, update_bn

from tune.spec.experiment import TrainingSpec


class Averaging:
    """The running average of a model's weights that a recipe asks for, if it does; by torch's AveragedModel.

    ema: after every step, `average += (1 - d) (weights - average)`. d grows with the number n of steps as
    (1 + n) / (10 + n) up to `decay`, so that the first weights are forgotten soon (TensorFlow's
    ExponentialMovingAverage): with .999 throughout they would still outweigh the rest after 690 steps, and a search
    judges after fewer. The statistics of batch normalization are averaged the same way.

    swa: after each of the last epochs the plain mean (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407), for
    which the statistics of batch normalization are then estimated anew, by a pass over training images.

    Args:
        spec: The recipe.
        model: Whose weights are averaged; on its device.
    """

    def __init__(self, spec: TrainingSpec, model: nn.Module) -> None:
        self._spec, self._model = spec.averaging, model
        self._epochs_before = self._spec.epochs_before(spec.epochs)
        self._average: AveragedModel | None = None
        if self._spec.name == "ema":
            self._average = AveragedModel(model, use_buffers=True)
        elif self._spec.name == "swa":
            self._average = AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn())  # type: ignore[no-untyped-call]

    @property
    def model(self) -> nn.Module:
        """What would be used: the average once there is one, before that the model itself."""
        return self._model if self._average is None or not self._count else self._average.module

    @property
    def _count(self) -> int:
        """How often the weights were taken into the average; the number lies on the CPU."""
        return 0 if self._average is None else int(self._average.n_averaged)

    def after_step(self) -> None:
        """The optimizer has moved the weights."""
        if self._average is not None and self._spec.name == "ema":
            decay = min(self._spec.decay, (1 + self._count) / (10 + self._count))
            self._average.multi_avg_fn = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            self._average.update_parameters(self._model)

    def after_epoch(self, epoch: int, batches: Iterable[Tensor]) -> None:
        """An epoch of training, counted from 1, is over.

        Args:
            epoch: Which.
            batches: Training images (B, C, H, W), as the model is trained on them; looked at only where needed.
        """
        if self._average is not None and self._spec.name == "swa" and epoch > self._epochs_before:
            self._average.update_parameters(self._model)
            update_bn(batches, self._average.module)

    def state_dict(self) -> dict[str, Any]:
        """The average, and of how many; empty without one."""
        return {} if self._average is None else self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where the other stood."""
        if self._average is not None:
            self._average.load_state_dict(state)
