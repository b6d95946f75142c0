"""Seconds per epoch on MNIST, ours against the loop of the official PyTorch + Ray Tune tutorial.

    taskset -c 0 python -m tests.benchmarks.epoch_speed

Both train the same model on the same images with the same batch size and optimizer, on one thread, and validate. Ours
is the real `Training.run_epoch`. The tutorial's is https://docs.pytorch.org/tutorials/beginner/hyperparameter_tuning_tutorial.html
with MNIST's transforms: images decoded and normalized one by one in a DataLoader, a wait for the loss at every step.
The two alternate epoch by epoch, so that whatever else the machine does meets both, each in a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

import models
from tune.spec import data_root
from tune.spec.experiment import Experiment
from tune.training import Splits, Training, open_splits, prepare_process

RESULTS = Path(__file__).parent / "results" / "epoch_speed.csv"
MODELS = ("mnist_mlr", "mnist_cnn", "simple_cnn")
REQUIRED = {"mnist_mlr": 10.0, "mnist_cnn": 4.0, "simple_cnn": 2.5}
TRAIN_IMAGES, VALIDATION_IMAGES, ALL_IMAGES = 12_000, 1_200, 60_000
BATCH_SIZE = 256
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Row:
    """One comparison. Seconds are medians over n epochs; spread is interquartile range / median, of the worse side."""

    model: str
    batch: int
    ours_seconds: float
    tutorial_seconds: float
    ratio: float
    n: int
    spread: float
    precision: str
    threads: int
    torch: str
    cpu: str
    commit: str
    date: str


def experiment(model: str, precision: str) -> Experiment:
    """The training that is timed."""
    tree: dict[str, Any] = {
        "data": {"name": "mnist", "train_limit": TRAIN_IMAGES, "validation_fraction": VALIDATION_IMAGES / ALL_IMAGES},
        "model": {"name": model},
        "training": {"epochs": 1_000, "batch_size": BATCH_SIZE, "precision": precision, "threads": 1},
    }
    return Experiment.model_validate(tree)


def ours(splits: Splits, model: str, precision: str) -> Callable[[], object]:
    """One epoch of ours, again and again."""
    return Training(experiment(model, precision), splits, device=CPU).run_epoch


def tutorial(splits: Splits, model: str, root: Path) -> Callable[[], object]:
    """One epoch of the tutorial's loop, in float32 as there."""
    pixels = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    images = datasets.MNIST(str(root), train=True, transform=pixels)
    assert splits.train.index is not None
    assert splits.validation is not None
    assert splits.validation.index is not None
    train_loader = DataLoader(Subset(images, splits.train.index.tolist()), batch_size=BATCH_SIZE, shuffle=True)
    val_loader = DataLoader(Subset(images, splits.validation.index.tolist()), batch_size=BATCH_SIZE, shuffle=True)
    net = models.build(model, splits.input_shape, len(splits.classes))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()

    def epoch() -> tuple[float, float, float]:
        running_loss = _tutorial_train(net, train_loader, criterion, optimizer)
        return running_loss, *_tutorial_validate(net, val_loader, criterion)

    return epoch


def _tutorial_train(
    net: nn.Module, loader: DataLoader[Any], criterion: nn.Module, optimizer: torch.optim.Optimizer
) -> float:
    net.train()
    running_loss = 0.0
    for inputs, labels in loader:
        inputs, labels = inputs.to(CPU), labels.to(CPU)
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    return running_loss / len(loader)


def _tutorial_validate(net: nn.Module, loader: DataLoader[Any], criterion: nn.Module) -> tuple[float, float]:
    net.eval()
    val_loss, total, correct = 0.0, 0, 0
    for inputs, labels in loader:
        with torch.no_grad():
            inputs, labels = inputs.to(CPU), labels.to(CPU)
            outputs = net(inputs)
            _, predicted = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
            val_loss += criterion(outputs, labels).cpu().numpy()
    return val_loss / len(loader), correct / total


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


def compare(names: Sequence[str], precisions: Sequence[str], repeats: int, root: Path) -> Iterator[Row]:
    """One row per model and precision of ours; the tutorial's loop is float32 always."""
    for model in names:
        competitors = [Competitor("tutorial", model, "float32", root)]
        competitors += [Competitor("ours", model, precision, root) for precision in precisions]
        theirs, *own = alternate(competitors, repeats)
        for competitor in competitors:
            competitor.close()
        for precision, seconds in zip(precisions, own, strict=True):
            yield _row(model, precision, seconds, theirs)


def _row(model: str, precision: str, seconds: list[float], theirs: list[float]) -> Row:
    median, their_median = statistics.median(seconds), statistics.median(theirs)
    return Row(
        model=model,
        batch=BATCH_SIZE,
        ours_seconds=round(median, 4),
        tutorial_seconds=round(their_median, 4),
        ratio=round(their_median / median, 2),
        n=len(seconds),
        spread=round(max(_spread(seconds), _spread(theirs)), 3),
        precision=precision,
        threads=1,
        torch=torch.__version__,
        cpu=_cpu(),
        commit=_commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def _spread(seconds: list[float]) -> float:
    """Interquartile range over median: what one neighbour on the machine spoils does not count."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return (high - low) / middle


def _cpu() -> str:
    """The processor's name and what of its instructions torch uses."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


@cache
def _commit() -> str:
    """The commit as the measuring began."""
    here = Path(__file__).parent
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=None, help="holds MNIST/raw; default $IMAGETUNE_DATA")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"), default=("float32", "bfloat16"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    _commit()
    rows = []
    for row in compare(arguments.models, arguments.precisions, arguments.repeats, data_root(arguments.data_dir)):
        verdict = "" if row.ratio >= REQUIRED[row.model] else f"  BELOW the {REQUIRED[row.model]} required"
        print(
            f"{row.model:10} {row.precision:8} {row.ours_seconds:7.3f} s  tutorial {row.tutorial_seconds:7.3f} s",
            end="",
        )
        print(f"  {row.ratio:5.1f}x  (n={row.n}, spread {row.spread:.0%}){verdict}", flush=True)
        rows.append(row)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    main()
