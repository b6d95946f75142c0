"""Small trainings on a GPU and on the CPU, on random images whose classes can be learnt."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

import data
import models
from tune.spec.experiment import Experiment
from tune.training import Splits, Training

CPU, GPU = torch.device("cpu"), torch.device("cuda")
CLASSES = 4

# Smaller than their defaults, so that an epoch takes a fraction of a second.
MODELS: dict[str, dict[str, Any]] = {
    "classifier": {"starting_channels": 8, "final_channels": 16, "cnn_layers": 3, "fcn_layers": 2, "dropout": 0.1},
    "simple_cnn": {"conv_channels": [8, 16], "hidden_dim": 32},
    "cifar_model": {"conv_channels": [8, 16, 32]},
    "vae": {"cnn_layers": 3, "starting_channels": 8, "final_channels": 16, "latent_dim": 4},
}


def splits_on(
    device: torch.device, shape: tuple[int, int, int] = (3, 32, 32), train: int = 520, validation: int = 130
) -> Splits:
    """Noise around a picture of each class; the same on every device."""
    chance = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 200, (CLASSES, *shape), generator=chance)
    labels = torch.arange(train + validation) % CLASSES
    noise = torch.randint(0, 56, (train + validation, *shape), generator=chance)
    images = (pictures[labels] + noise).to(torch.uint8)
    normalization = data.Normalization((0.5,) * shape[0], (0.5,) * shape[0])

    def part(index: Tensor) -> data.Resident:
        return data.Resident(images, labels, index, normalization=normalization, classes=CLASSES).to(device)

    names = tuple(f"class {number}" for number in range(CLASSES))
    return Splits(
        train=part(torch.arange(train)),
        validation=part(torch.arange(train, train + validation)),
        classes=names,
        input_shape=shape,
        split_hash="random",
        normalization=normalization,
        identity=data.DataIdentity("random", names),
    )


def experiment(model: str, *, augment: Any = (), options: dict[str, Any] | None = None, **training: Any) -> Experiment:
    """An experiment on the random images; `training` are fields of the recipe."""
    tree = {
        "data": {"name": "cifar10", "augment": augment},
        "model": {"name": model, **MODELS.get(model, {}), **(options or {})},
        "training": {"epochs": 3, "batch_size": 64, "threads": 1, **training},
    }
    return Experiment.model_validate(tree)


def start(
    device: torch.device, model: str, splits: Splits | None = None, *, graphs: bool = True, **fields: Any
) -> Training:
    """A training of `experiment(model, **fields)`."""
    if splits is None:
        splits = splits_on(device, models.get(model).native_input)
    return Training(experiment(model, **fields), splits, device=device, graphs=graphs)


def numbers(training: Training) -> list[dict[str, float]]:
    """The history without the seconds."""
    return [{k: v for k, v in metrics.to_dict().items() if k != "seconds"} for metrics in training.history]


def distance(one: nn.Module, other: nn.Module) -> float:
    """The distance of two models' weights, as a share of their length."""
    first, second = (torch.cat([p.detach().double().flatten().cpu() for p in m.parameters()]) for m in (one, other))
    return float((first - second).norm() / second.norm())


@contextmanager
def no_waiting() -> Iterator[None]:
    """In the block, an operation that waits for the GPU raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says, once, that this is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
