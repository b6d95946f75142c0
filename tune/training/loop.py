"""Train one experiment, an epoch at a time. No Ray, no files."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import models
from tune.errors import named_line
from tune.spec.experiment import Experiment
from tune.spec.metric import METRICS, EpochMetrics, Objective, Part, metrics_of
from tune.training.averaging import Averaging
from tune.training.batches import Batches
from tune.training.checkpoint import OtherVersionError
from tune.training.failures import out_of_memory
from tune.training.graph import Graphed
from tune.training.metrics import End, Sums, best_of, end_of, measured, validation_batch_size
from tune.training.model import check_first_step, initial_model, memory_format
from tune.training.optimizer import OptimizerStep
from tune.training.precision import autocast, float32_on_gpu
from tune.training.process import cpu_threads, seeded, stream_seed
from tune.training.schedules import Schedule
from tune.training.splits import Splits
from tune.training.state import check_identity, copied, identity
from tune.training.tasks import task_of

VALIDATION_LOSS = Objective(METRICS["val_loss"])

# Steps between checks of the loss. A diverging training continues until the next; on a GPU until the one after it.
CHECK_EVERY = 50

OnStep = Callable[[int, int, float], object]
"""Called after every step of an epoch: its number from 1, the steps of the epoch, and the learning rate."""


class Training:
    """The training of one experiment.

    On a CPU, the same experiment, splits and number of CPU threads give bitwise the same losses, whatever ran in the
    process before and wherever the training was interrupted between two epochs. If `run_epoch` raises, the object must
    not be used again: load the last saved state into a new one.

    Attributes:
        experiment: What is trained.
        splits: On which images.
        threads: CPU threads in use.
        model: The network on the device, with the weights that are trained.
        history: The metrics of the epochs so far.
        best_weights: The model's state after the best epoch as it was validated, on the CPU: the average's if weights
            are averaged. None before there is a best epoch.

    Args:
        experiment: What to train.
        splits: Its images, as `open_splits` returns them; they are on `device`.
        device: Where to train.
        objective: What the best epoch is chosen by; see `best_of` for trainings without validation images.
        epochs: End after this many epochs, if the experiment has more; its schedule still covers all of its own.
        threads: CPU threads, unless the experiment sets them.
        graphs: On a GPU, record the computation of the gradients as a CUDA graph (`tune.training.graph`).

    Raises:
        models.ModelError: The model cannot be built for these images.
        InfeasibleError: The first training step fails because of the configuration.
        ValueError: The task has no such metric, or the precision is still to be chosen.
    """

    def __init__(
        self,
        experiment: Experiment,
        splits: Splits,
        *,
        device: torch.device,
        objective: Objective = VALIDATION_LOSS,
        epochs: int | None = None,
        threads: int = 1,
        graphs: bool = True,
    ) -> None:
        spec, task = experiment.training, models.get(experiment.model.name).task
        if spec.precision == "auto":
            raise ValueError("training.precision is auto; let `tune.runs.auto.choose` say what that is here")
        self.experiment = experiment
        self.splits = splits
        self.threads = spec.threads_or(threads)
        self.history: list[EpochMetrics] = []
        self.best_weights: dict[str, Tensor] | None = None
        self._task, self._metrics, self._objective = task_of(task, spec), metrics_of(task), objective
        if objective.metric.name not in (names := [metric.name for metric in self._metrics]):
            raise ValueError(f"the metric must be one of {', '.join(names)} (got {objective.metric.name})")
        with cpu_threads(self.threads):
            model = initial_model(experiment, splits)
        check_first_step(experiment, splits, model, self._task, self.threads)
        self._layout = memory_format(model)
        self.model = model.to(device).to(memory_format=self._layout)
        self._device = device
        self._epochs = min(epochs or spec.epochs, spec.epochs)
        self._batches = Batches(experiment, splits)
        self._optimizer_step = OptimizerStep(spec, self.model, device)
        self._schedule = Schedule(spec, self._optimizer_step.optimizer, self._batches.steps)
        self._averaging = Averaging(spec, self.model)
        recorded = graphs and device.type == "cuda"
        self._graphed = Graphed(list(self.model.parameters())) if recorded else None

    @property
    def best(self) -> EpochMetrics | None:
        """The best epoch so far; None if there is none yet."""
        return best_of(self.history, self._objective)

    @property
    def end(self) -> End | None:
        """Why the training has ended; None while it has not."""
        return end_of(self.history, self._epochs, self.experiment.training.early_stopping)

    def run_epoch(self, on_step: OnStep | None = None) -> EpochMetrics:
        """Train one epoch, validate, and append the metrics to the history.

        A loss that is not finite ends the epoch within `CHECK_EVERY` steps, twice as many on a GPU; metrics that were
        not measured are NaN.

        Args:
            on_step: Called after each step.

        Raises:
            RuntimeError: The training has ended.
        """
        if self.end is not None:
            raise RuntimeError(f"the training has ended: {self.end}")
        started = time.perf_counter()
        epoch = len(self.history) + 1
        seed = stream_seed(self.experiment.seed, "epoch", epoch)
        with cpu_threads(self.threads), float32_on_gpu(self._device), seeded(seed, self._device):
            values, lr = self._train(epoch, on_step)
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

    def _train(self, epoch: int, on_step: OnStep | None) -> tuple[dict[str, float], float]:
        """One pass over the training images: metrics, and the learning rate of its last step."""
        self.model.train()
        sums, lr = self._sums("train"), self._schedule.lr
        for step, (images, labels) in enumerate(self._batches.of(epoch), start=1):
            lr = self._schedule.lr
            loss, others = self._step(images, labels)
            sums.add(loss, others, len(labels))
            if on_step is not None:
                on_step(step, self._batches.steps, lr)
            if step % CHECK_EVERY == 0 and not sums.finite():
                break
        return sums.means(), lr

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """One optimizer step on (B, C, H, W) images and (B,) labels: the mean loss, the sums of other metrics."""
        if self._graphed is None:
            loss, others = self._gradients(images, labels)
        else:
            loss, others = self._graphed(self._gradients, images, labels)
        self._optimizer_step.update()
        self._averaging.after_step()
        self._schedule.after_batch()
        return loss, others

    def _gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Set the gradients for a batch: its mean loss, the sums of other metrics."""
        outputs = self._outputs(self.model, images)
        loss = self._task.loss(outputs, images, labels, training=True)
        self._optimizer_step.backward(loss)
        with torch.no_grad():
            return loss.detach(), self._task.others(outputs, images, labels)

    def _outputs(self, model: nn.Module, images: Tensor) -> Any:
        """Apply a model in the experiment's precision, in training and validation alike."""
        with autocast(self.experiment.training, self._device):
            return self._task.outputs(model, images.contiguous(memory_format=self._layout))

    def _average(self, epoch: int) -> None:
        """Update the average of the weights after an epoch, if there is one."""
        with autocast(self.experiment.training, self._device):
            batches = (images.contiguous(memory_format=self._layout) for images, _ in self._batches.whole(epoch))
            self._averaging.after_epoch(epoch, batches)

    def _sums(self, part: Part) -> Sums:
        return Sums([metric.name for metric in self._metrics if metric.part == part], self._device)

    def _validate(self, *, diverged: bool) -> dict[str, float]:
        """Metrics on the validation images, if there are any; NaN for weights that diverged."""
        if self.splits.validation is None:
            return {}
        if diverged:
            return {metric.name: math.nan for metric in self._metrics if metric.part == "val"}
        size = validation_batch_size(self.splits.input_shape, self.experiment.training.batch_size, self._device)
        outputs = partial(self._outputs, self._averaging.model.eval())
        return measured(self.splits.validation.batches(size), outputs, self._task, self._sums("val"))

    def state(self) -> dict[str, Any]:
        """A copy of all that an exact continuation needs, on the CPU, as tensors and plain values.

        Random generators are not part of it, since every epoch is seeded anew. Nor are the best epoch, early stopping
        and the end, which follow from the history.
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
        """Continue from a state; if that is impossible, the training stays as it is.

        Raises:
            OtherVersionError: The state has another format, or does not fit the model as it is built today.
            CheckpointError: The state belongs to another experiment, other images or another metric.
        """
        check_identity(state, self._identity(), self.experiment)
        before = self.state()
        try:
            self._restore(copied(state))  # torch keeps the tensors it is given, and would train the caller's
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            if out_of_memory(error):
                raise
            self._restore(before)
            name = self.experiment.model.name
            raise OtherVersionError(f"the checkpoint does not fit {name}: {named_line(error)}") from error

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._optimizer_step.load_state_dict(state)
        self._schedule.load_state_dict(state["schedule"])
        self._averaging.load_state_dict(state["averaging"])
        self.history = [EpochMetrics.from_dict(row) for row in state["history"]]
        self.best_weights = state["best_weights"]

    def _identity(self) -> dict[str, Any]:
        return identity(self.experiment, self.splits, self._objective.metric)


def train(
    training: Training,
    report: Callable[[EpochMetrics], object] = lambda metrics: None,
    on_step: OnStep | None = None,
) -> End:
    """Run a training to its end, reporting every epoch and step; returns at once if it has ended already."""
    while (end := training.end) is None:
        report(training.run_epoch(on_step))
    return end
