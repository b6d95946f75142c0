"""The program that a user of the official tutorial would have: Ray Tune and PyTorch, one function per trial.

    python -m tests.benchmarks.tutorial_search MODEL EPOCHS DATA_DIR

Follows https://docs.pytorch.org/tutorials/beginner/hyperparameter_tuning_tutorial.html, with MNIST and a model of
imagetune's: images decoded and normalized one by one, a random split per trial, a wait for the loss at every step, a
checkpoint after every epoch. Without its processes that load images, which slow it down on two cores, and without
early stopping. Prints the highest validation accuracy at the end of a trial.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from ray import tune as ray_tune
from ray.tune import Checkpoint
from torch import nn
from torch.utils.data import DataLoader, Subset, random_split
from torchvision import datasets, transforms

import models
from tests.benchmarks.tutorial_epoch import train_epoch, validate, with_layers_of_torch

RATES = (3e-4, 1e-3, 3e-3, 1e-2)
BATCHES = (64, 128)
TRAIN_IMAGES, VALIDATION_IMAGES = 16_000, 4_000


def train(config: dict[str, Any]) -> None:
    """One trial."""
    pixels = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    images = Subset(
        datasets.MNIST(config["root"], train=True, transform=pixels), range(TRAIN_IMAGES + VALIDATION_IMAGES)
    )
    train_images, val_images = random_split(images, [TRAIN_IMAGES, VALIDATION_IMAGES])
    train_loader = DataLoader(train_images, batch_size=config["batch_size"], shuffle=True)
    val_loader = DataLoader(val_images, batch_size=config["batch_size"], shuffle=True)
    net = with_layers_of_torch(models.build(config["model"], (1, 28, 28), 10))
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), lr=config["lr"])
    for epoch in range(config["epochs"]):
        train_epoch(net, train_loader, criterion, optimizer)
        val_loss, accuracy = validate(net, val_loader, criterion)
        with tempfile.TemporaryDirectory() as folder:
            state = {"epoch": epoch, "net": net.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, Path(folder, "data.pt"))
            metrics = {"loss": val_loss, "accuracy": accuracy}
            ray_tune.report(metrics, checkpoint=Checkpoint.from_directory(folder))


def main() -> None:
    """Search all combinations of rates and batch sizes, two trials at once."""
    model, epochs, root = sys.argv[1:]
    space = {"model": model, "epochs": int(epochs), "root": root}
    space |= {"lr": ray_tune.grid_search(RATES), "batch_size": ray_tune.grid_search(BATCHES)}
    with tempfile.TemporaryDirectory() as folder:
        tuner = ray_tune.Tuner(
            ray_tune.with_resources(train, {"cpu": 1}),
            param_space=space,
            tune_config=ray_tune.TuneConfig(metric="loss", mode="min"),
            run_config=ray_tune.RunConfig(storage_path=folder),
        )
        print(tuner.fit().get_dataframe()["accuracy"].max())


if __name__ == "__main__":
    main()
