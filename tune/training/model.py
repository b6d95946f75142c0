"""The network of an experiment: built, laid out in memory, and tried once."""

from __future__ import annotations

import copy

import torch
from torch import nn

import models
from models.pooling import FractionalPool
from tune.errors import UserError, first_line
from tune.spec.experiment import Experiment
from tune.training.failures import process_broken
from tune.training.optimizer import OptimizerStep
from tune.training.precision import autocast
from tune.training.process import cpu_threads, seeded, stream_seed
from tune.training.splits import Splits, augment_of
from tune.training.tasks import Task


class InfeasibleError(UserError):
    """The configuration alone makes training impossible, whatever machine it runs on. The text says why."""


def initial_model(experiment: Experiment, splits: Splits) -> nn.Module:
    """The untrained model, on the CPU, so that a seed gives the same weights on every device.

    Its whitening filters, if it has any, are those of training images drawn with the experiment's seed, as the network
    gets them but not augmented.

    Raises:
        models.ModelError: The model cannot be built for these images.
    """
    spec = experiment.model
    with seeded(stream_seed(experiment.seed, "model"), torch.device("cpu")):
        model = models.build(spec.name, splits.input_shape, len(splits.classes), **spec.options())
    for whitening in (module for module in model.modules() if isinstance(module, models.Whitening)):
        generator = torch.Generator().manual_seed(stream_seed(experiment.seed, "whitening"))
        images, _ = next(splits.train.batches(models.whitening_images(*splits.input_shape[1:]), generator=generator))
        whitening.fit(images.cpu())
    return model


def memory_format(model: nn.Module) -> torch.memory_format:
    """The faster memory format: channels last for convolutional networks without fractional pooling.

    Measured in milliseconds per step (tests/benchmarks/NOTES.md), in float32 and bfloat16. On one CPU core, with
    channels last, simple_cnn goes from 102 and 67 to 70 and 35, the classifier with maximum pooling from 359 and 313 to
    233 and 205. With fractional pooling, whose gradient is channels first, the classifier goes from 341 and 274 up to
    808 and 767, because Mish's backward pass is slow for mixed formats. On an H100, the network of the CIFAR-10 speed
    record goes from 13.3 and 9.8 to 8.3 and 5.4, and simple_cnn from .50 and .51 up to .53 and .58.
    """
    kinds = {type(module) for module in model.modules()}
    helps = nn.Conv2d in kinds and FractionalPool not in kinds
    return torch.channels_last if helps else torch.contiguous_format


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
        more = "a larger training.batch_size" if len(splits.train) > 1 else "more training images"
        raise InfeasibleError(
            f"{experiment.model.name} cannot be trained in batches of {size} with images of {height} x {width} pixels "
            f"({first_line(error)}); use {more}, larger images or another model"
        ) from error
