"""Seconds per epoch, ours against the loop of the official PyTorch + Ray Tune tutorial.

    taskset -c 0 python -m tests.benchmarks.epoch_speed --data-dir ROOT

Both train the same model on the same images with the same batch size and optimizer, on one thread, and validate on a
tenth as many. Ours is the real `Training.run_epoch`. The tutorial's is
https://docs.pytorch.org/tutorials/beginner/hyperparameter_tuning_tutorial.html with the transforms of the images:
decoded and normalized one by one in a DataLoader, a wait for the loss at every step. The two alternate epoch by epoch,
so that whatever else the machine does meets both, each in a process of its own. The floor is the time that the
arithmetic of the layers takes at the speed of the core's matrix products (`arithmetic.py`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

import models
from tests.benchmarks.arithmetic import precisions_here, seconds_of_arithmetic
from tests.benchmarks.rows import circumstances, cpu_name, write_rows
from tests.benchmarks.tutorial_epoch import train_epoch, validate, with_layers_of_torch
from tune.spec import data_root
from tune.spec.experiment import Experiment
from tune.training import Splits, Training, open_splits, prepare_process

CPU = torch.device("cpu")
IMAGES = {"mnist": (60_000, datasets.MNIST), "cifar10": (50_000, datasets.CIFAR10)}


@dataclass(frozen=True)
class Case:
    """A model that is timed.

    Attributes:
        aims: Times that ours is to be faster than the tutorial's, in float32 and in bfloat16.
        data: The images.
        train_images: How many of them to train on: fewer for models that take long.
        batch_size: Images per step.
        options: Of the model.
    """

    aims: tuple[float, float]
    data: str = "mnist"
    train_images: int = 12_000
    batch_size: int = 256
    options: Mapping[str, Any] = field(default_factory=dict)


BEST = {"starting_channels": 46, "final_channels": 210, "cnn_layers": 6, "fcn_layers": 4}  # of the published search
CASES = {
    "mnist_mlr": Case((15, 15)),
    "mnist_cnn": Case((5, 5)),
    "simple_cnn": Case((2.5, 4)),
    "mnist_v3": Case((3, 3), batch_size=64),
    "tiny_vgg": Case((2, 2), "cifar10", 1_250, 125),
    "classifier": Case((1.5, 2), "cifar10", 1_250, 125, BEST),
}


def experiment(model: str, precision: str) -> Experiment:
    """The training that is timed."""
    case = CASES[model]
    tree: dict[str, Any] = {
        "data": {
            "name": case.data,
            "train_limit": case.train_images,
            "validation_fraction": case.train_images / 10 / IMAGES[case.data][0],
        },
        "model": {"name": model, **case.options},
        "training": {"epochs": 1_000, "batch_size": case.batch_size, "precision": precision, "threads": 1},
    }
    return Experiment.model_validate(tree)


def ours(splits: Splits, model: str, precision: str) -> Callable[[], object]:
    """One epoch of ours, again and again."""
    return Training(experiment(model, precision), splits, device=CPU).run_epoch


def tutorial(splits: Splits, model: str, root: Path) -> Callable[[], object]:
    """One epoch of the tutorial's loop, in float32 as there."""
    case, halves = CASES[model], (0.5,) * splits.input_shape[0]
    pixels = transforms.Compose([transforms.ToTensor(), transforms.Normalize(halves, halves)])
    images = IMAGES[case.data][1](str(root), train=True, transform=pixels)
    assert splits.train.index is not None
    assert splits.validation is not None
    assert splits.validation.index is not None
    train_loader = DataLoader(Subset(images, splits.train.index.tolist()), case.batch_size, shuffle=True)
    val_loader = DataLoader(Subset(images, splits.validation.index.tolist()), case.batch_size, shuffle=True)
    net = with_layers_of_torch(models.build(model, splits.input_shape, len(splits.classes), **case.options))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()

    def epoch() -> tuple[float, float, float]:
        return train_epoch(net, train_loader, criterion, optimizer), *validate(net, val_loader, criterion)

    return epoch


class Competitor:
    """A process of its own that runs one epoch when told: neither side's settings reach the other."""

    def __init__(self, side: str, model: str, precision: str, root: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=serve, args=(there, side, model, precision, root), daemon=True)
        self._process.start()

    def epoch(self) -> float:
        """Seconds of one epoch."""
        self._here.send("epoch")
        return float(self._here.recv())

    def close(self) -> None:
        """End the process."""
        self._here.send("close")
        self._process.join()


def serve(pipe: Connection, side: str, model: str, precision: str, root: Path) -> None:
    """Run epochs in this process for as long as the other end of the pipe asks for them."""
    torch.set_num_threads(1)
    if side == "ours":
        prepare_process()  # as every process of imagetune that trains
    splits = open_splits(experiment(model, precision).data, root, CPU)
    epoch = ours(splits, model, precision) if side == "ours" else tutorial(splits, model, root)
    while pipe.recv() == "epoch":
        started = time.perf_counter()
        epoch()
        pipe.send(time.perf_counter() - started)


def alternate(competitors: Sequence[Competitor], repeats: int) -> list[list[float]]:
    """Seconds of each repeat of each competitor, taking turns; one turn to warm up is not counted."""
    turns = [[competitor.epoch() for competitor in competitors] for _ in range(repeats + 1)]
    return [list(seconds) for seconds in zip(*turns[1:], strict=True)]


def compare(names: Sequence[str], repeats: int, root: Path) -> Iterator[dict[str, Any]]:
    """One row per model and precision of ours; the tutorial's loop is float32 always."""
    precisions = precisions_here()
    for model in names:
        competitors = [Competitor("tutorial", model, "float32", root)]
        competitors += [Competitor("ours", model, precision, root) for precision in precisions]
        theirs, *own = alternate(competitors, repeats)
        for competitor in competitors:
            competitor.close()
        for precision, seconds in zip(precisions, own, strict=True):
            yield _row(model, precision, seconds, theirs)


def _row(model: str, precision: str, seconds: list[float], theirs: list[float]) -> dict[str, Any]:
    median, their_median = statistics.median(seconds), statistics.median(theirs)
    case = CASES[model]
    shape = (1, 28, 28) if case.data == "mnist" else (3, 32, 32)
    floor = seconds_of_arithmetic(model, shape, case.train_images, case.train_images // 10, precision, case.options)
    return {
        "model": model,
        "images": f"{case.train_images} of {case.data}",
        "batch": case.batch_size,
        "ours_seconds": round(median, 4),
        "tutorial_seconds": round(their_median, 4),
        "ratio": round(their_median / median, 2),
        "aim": case.aims[precision == "bfloat16"],
        "floor_seconds": round(floor, 4),
        "n": len(seconds),
        "spread": round(max(_spread(seconds), _spread(theirs)), 3),
        "precision": precision,
        "threads": 1,
        **circumstances(),
        "hardware": f"1 core of {cpu_name()}, {torch.backends.cpu.get_cpu_capability()}",
    }


def _spread(seconds: list[float]) -> float:
    """Interquartile range over median: what one neighbour on the machine spoils does not count."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return (high - low) / middle


def main() -> None:
    """Measure, print, and write the table; rows of other hardware are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=None, help="holds MNIST/raw; default $IMAGETUNE_DATA")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()
    rows = []
    for row in compare(arguments.models, arguments.repeats, data_root(arguments.data_dir)):
        print({key: row[key] for key in list(row)[:10]}, flush=True)
        rows.append(row)
    write_rows("epoch_speed", rows, key="hardware")


if __name__ == "__main__":
    main()
