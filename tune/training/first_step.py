"""Find out before a training starts whether its configuration can take a single step."""

from __future__ import annotations

import copy

import torch
from torch import nn

from tune.errors import UserError
from tune.spec.experiment import Experiment
from tune.training.failures import process_broken
from tune.training.optimizer import autocast
from tune.training.optimizer_step import OptimizerStep
from tune.training.seeding import cpu_threads, seeded, stream_seed
from tune.training.splits import Splits, augment_of
from tune.training.tasks import Task


class InfeasibleError(UserError):
    """The configuration alone makes training impossible, whatever machine it runs on. The text says why."""


def check_first_step(experiment: Experiment, splits: Splits, model: nn.Module, task: Task, threads: int = 1) -> None:
    """Take a training step with a copy of the model, and apply it to one image as validation may.

    Layers refuse certain inputs only when they are called: batch normalization cannot train on a single value per
    channel, for example. The step is taken on the CPU with real images, in batches of 2 (or 1, if the training has no
    larger ones): no layer that accepts those refuses a larger batch. Takes about as long as building the model.

    Args:
        experiment: What is to be trained.
        splits: Its images.
        model: Untrained, on the CPU; left as it is.
        task: Of the model.
        threads: CPU threads to use.

    Raises:
        InfeasibleError: The step fails for other reasons than lack of memory or a CUDA error.
    """
    spec, device = experiment.training, torch.device("cpu")
    size = min(spec.batch_size, len(splits.train), 2)
    generator = torch.Generator().manual_seed(0)
    trial = copy.deepcopy(model).train()
    try:
        with cpu_threads(threads), seeded(stream_seed(experiment.seed, "first step"), device):
            batches = splits.train.batches(size, generator=generator, augment=augment_of(experiment.data))
            images, labels = (tensor.to(device) for tensor in next(iter(batches)))
            with autocast(spec, device):
                outputs = task.outputs(trial, images)
            OptimizerStep(spec, trial, device).step(task.loss(outputs, images, labels, training=True))
            with autocast(spec, device), torch.no_grad():
                task.outputs(trial.eval(), images[:1])
    except (ValueError, RuntimeError) as error:
        if process_broken(error):
            raise
        height, width = splits.input_shape[1:]
        first, _, _ = str(error).partition("\n")
        more = "a larger training.batch_size" if len(splits.train) > 1 else "more training images"
        raise InfeasibleError(
            f"{experiment.model.name} cannot be trained in batches of {size} with images of {height} x {width} pixels "
            f"({first}); use {more}, larger images or another model"
        ) from error
