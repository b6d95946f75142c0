"""Train one experiment: no Ray, no files, no state but the object's own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

import models
from tune.spec.experiment import Experiment
from tune.training.averaging import Averaging
from tune.training.checkpoint import OtherVersionError
from tune.training.first_step import check_first_step
from tune.training.metrics import EpochMetrics, Mode, Sums, best_of, patience_spent
from tune.training.model_init import initial_model, memory_format
from tune.training.optimizer import autocast
from tune.training.optimizer_step import OptimizerStep
from tune.training.schedules import Schedule
from tune.training.seeding import cpu_threads, seeded, stream_seed
from tune.training.splits import Splits, augment_of, steps_per_epoch
from tune.training.state import check_identity, copied, identity
from tune.training.tasks import check_metric, task_of

# Steps between looks at the losses. Each look waits for the device; a divergence costs at most so many steps.
CHECK_EVERY = 50

# Numbers (pixels x channels) in a validation batch, if the training's batch has not more: no activation is kept, so
# memory does not matter. On the CPU what its caches hold: simple_cnn takes three times as long in batches of 1,000.
VALIDATION_NUMBERS = {"cpu": 2**18, "cuda": 2**22}


class End(StrEnum):
    """Why a training ended by itself."""

    EPOCHS = "epochs"
    """It ran all the epochs it was given."""
    EARLY_STOPPING = "early_stopping"
    """Its validation loss stopped improving."""
    DIVERGED = "diverged"
    """A loss is no finite number."""


class Training:
    """The state of one experiment's training, moved on an epoch at a time.

    The same experiment, splits and number of CPU threads give bitwise the same losses on a CPU, whatever ran before in
    the process and wherever the training was interrupted between two epochs. An exception out of `run_epoch` leaves a
    half-trained epoch behind: go on from the last saved state, in a new object.

    Attributes:
        experiment: What is trained.
        splits: On which images.
        threads: CPU threads in use.
        model: The network, on the device, with the weights that are trained.
        history: The metrics of the epochs so far.
        best_weights: The state that was validated in the best epoch, on the CPU: that of the weights' average once
            there is one, else the model's. None before there is a best epoch.

    Args:
        experiment: What to train.
        splits: Its images, as `open_splits` gives them; they lie on `device`.
        device: Where to train.
        metric: By which the best epoch is chosen, as in `EpochMetrics.values`. Without validation images the latest
            epoch counts as the best by val_*, since there is nothing to choose by.
        mode: Whether the metric is to be small or large.
        epochs: End after so many, if the experiment has more; its schedule stays laid over all of its own.
        threads: CPU threads where the experiment names none.

    Raises:
        models.ModelError: The model is impossible on these images.
        InfeasibleError: The first training step fails because of the configuration.
        ValueError: The task has no such metric.
    """

    def __init__(
        self,
        experiment: Experiment,
        splits: Splits,
        *,
        device: torch.device,
        metric: str = "val_loss",
        mode: Mode = "min",
        epochs: int | None = None,
        threads: int = 1,
    ) -> None:
        spec = experiment.training
        self.experiment = experiment
        self.splits = splits
        self.threads = spec.threads or threads
        model = initial_model(experiment, splits)
        task = models.get(experiment.model.name).task
        self._task = task_of(task, spec)
        check_first_step(experiment, splits, model, self._task, self.threads)
        self._layout = memory_format(model, device)
        self.model = model.to(device).to(memory_format=self._layout)
        self.history: list[EpochMetrics] = []
        self.best_weights: dict[str, Tensor] | None = None
        self._device = device
        self._metric, self._mode = metric, mode
        self._epochs = min(epochs or spec.epochs, spec.epochs)
        self._steps = steps_per_epoch(len(splits.train), spec.batch_size)
        check_metric(metric, task)
        self._optimizer_step = OptimizerStep(spec, self.model, device)
        self._schedule = Schedule(spec, self._optimizer_step.optimizer, self._steps)
        self._averaging = Averaging(spec, self.model)
        self._augment = augment_of(experiment.data)

    @property
    def best(self) -> EpochMetrics | None:
        """The best epoch so far; None if there is none yet."""
        return best_of(self.history, self._metric, self._mode)

    @property
    def end(self) -> End | None:
        """Why the training is over; None while it is not."""
        if self.history and not self.history[-1].finite:
            return End.DIVERGED
        if len(self.history) >= self._epochs:
            return End.EPOCHS
        stopping = self.experiment.training.early_stopping
        losses = [metrics.values["val_loss"] for metrics in self.history if "val_loss" in metrics.values]
        if stopping is not None and patience_spent(losses, stopping.patience, stopping.min_delta):
            return End.EARLY_STOPPING
        return None

    def run_epoch(self) -> EpochMetrics:
        """Train one epoch, validate, and take both into the history.

        A loss that is no finite number ends the epoch within `CHECK_EVERY` steps; what is not known then is NaN.

        Raises:
            RuntimeError: The training is over.
        """
        if self.end is not None:
            raise RuntimeError(f"the training is over: {self.end}")
        started = time.perf_counter()
        epoch = len(self.history) + 1
        with cpu_threads(self.threads), seeded(stream_seed(self.experiment.seed, "epoch", epoch), self._device):
            values, lr = self._train(epoch)
            diverged = not math.isfinite(values["train_loss"])
            if not diverged:
                self._average(epoch)
            values |= self._validate(diverged=diverged)
        self._schedule.after_epoch(values)
        metrics = EpochMetrics(epoch, values, lr, time.perf_counter() - started)
        self.history.append(metrics)
        if self.best is metrics:
            self.best_weights = copied(self._averaging.model.state_dict())
        return metrics

    def _train(self, epoch: int) -> tuple[dict[str, float], float]:
        """One pass over the training images: metrics, and the learning rate of its last step."""
        self.model.train()
        sums, lr = Sums(self._task.names, self._device), self._schedule.lr
        for step, (images, labels) in enumerate(self._batches(epoch), start=1):
            lr = self._schedule.lr
            loss, others = self._step(images, labels)
            sums.add(loss, others, len(labels))
            if step % CHECK_EVERY == 0 and not sums.finite():
                break
        return sums.means("train_"), lr

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """One step of the optimizer on (B, C, H, W) images and (B,) labels: the batch's mean loss, others' sums."""
        outputs = self._outputs(self.model, images)
        loss = self._task.loss(outputs, images, labels, training=True)
        self._optimizer_step.step(loss)
        self._averaging.after_step()
        self._schedule.after_batch()
        with torch.no_grad():
            return loss.detach(), self._task.others(outputs, images, labels)

    def _outputs(self, model: nn.Module, images: Tensor) -> Any:
        """The model applied in the experiment's precision, in training and validation alike."""
        with autocast(self.experiment.training, self._device):
            return self._task.outputs(model, images.contiguous(memory_format=self._layout))

    def _average(self, epoch: int) -> None:
        """Bring the weights' average up to the epoch, if there is one."""
        with autocast(self.experiment.training, self._device):
            batches = (images.contiguous(memory_format=self._layout) for images, _ in self._batches(epoch))
            self._averaging.after_epoch(epoch, batches)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The training images in the epoch's own order: normalized (B, C, H, W) and (B,), both on the device."""
        generator = torch.Generator()  # of the CPU: the same batches on every device
        generator.manual_seed(stream_seed(self.experiment.seed, "batches", epoch))
        size = self.experiment.training.batch_size
        return islice(self.splits.train.batches(size, generator=generator, augment=self._augment), self._steps)

    @torch.inference_mode()
    def _validate(self, *, diverged: bool) -> dict[str, float]:
        """Metrics on the validation images, if there are any; NaN once the weights are worth nothing."""
        if self.splits.validation is None:
            return {}
        if diverged:
            return {f"val_{name}": math.nan for name in self._task.names}
        model = self._averaging.model.eval()
        sums = Sums(self._task.names, self._device)
        numbers = VALIDATION_NUMBERS[self._device.type] // math.prod(self.splits.input_shape)
        size = max(self.experiment.training.batch_size, numbers)
        for images, labels in self.splits.validation.batches(size):
            outputs = self._outputs(model, images)
            loss = self._task.loss(outputs, images, labels, training=False)
            sums.add(loss, self._task.others(outputs, images, labels), len(labels))
        return sums.means("val_")

    def state(self) -> dict[str, Any]:
        """All that is needed to go on exactly: a copy on the CPU, of tensors and plain values only.

        Chance needs no entry: every epoch's stream follows from the seed. Nor do the best epoch, early stopping and the
        end: they follow from the history.
        """
        live = {
            "model": self.model.state_dict(),
            **self._optimizer_step.state_dict(),
            "schedule": self._schedule.state_dict(),
            "averaging": self._averaging.state_dict(),
            "best_weights": self.best_weights,
        }
        history = [metrics.to_dict() for metrics in self.history]
        return {**self._identity(), **copied(live), "history": history}

    def load(self, state: dict[str, Any]) -> None:
        """Stand where the training stood whose state this is.

        Raises:
            OtherVersionError: The state is of another format, or does not fit the model as it is built today.
            CheckpointError: The state is of another experiment, other images or another metric.
        """
        check_identity(state, self._identity())
        own = copied(state)  # torch keeps the tensors it is handed, and would train the caller's
        try:
            self.model.load_state_dict(own["model"])
            self._optimizer_step.load_state_dict(own)
            self._schedule.load_state_dict(own["schedule"])
            self._averaging.load_state_dict(own["averaging"])
            self.history = [EpochMetrics.from_dict(row) for row in own["history"]]
            self.best_weights = own["best_weights"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            first, _, _ = str(error).partition("\n")
            raise OtherVersionError(
                f"the checkpoint does not fit {self.experiment.model.name} as it is: {first}"
            ) from error

    def _identity(self) -> dict[str, Any]:
        return identity(self.experiment, self.splits.split_hash, f"{self._mode} {self._metric}")


def train(training: Training, report: Callable[[EpochMetrics], object] = lambda metrics: None) -> End:
    """Run a training to its end, telling of every epoch; at once if it is over already."""
    while (end := training.end) is None:
        report(training.run_epoch())
    return end
