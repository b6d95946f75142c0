"""What each part of the speed record's recipe gives on CIFAR-10: `results/ablation.csv`.

    python -m tests.benchmarks.ablation --data-dir DIR [--epochs 16] [--seeds 3] [--device cuda] [--processes 3]

The first configuration of `cifar10_fast` is trained with all parts, then with one part left out or exchanged, each with
several seeds, for a fixed number of epochs. Accuracies are those of the last epoch on the 5,000 validation images; no
test image is read. An epoch takes minutes on a CPU core.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.rows import circumstances, write_rows
from tune.runs.versions import hardware
from tune.spec import load_search
from tune.spec.experiment import Experiment
from tune.training import Training, open_splits, train

CROP = {"crop": {"padding": 2, "mode": "reflect"}}
CHANGES: dict[str, dict[str, Any]] = {
    "all parts": {},
    "no whitening": {"model.whitening": "none"},
    "no Dirac filters": {"model.initialization": "default"},
    "norms' biases at the rate of the weights": {"training.optimizer.bias_lr_factor": 1},
    "decay on all parameters": {"training.optimizer.decay": "all"},
    "norms with a scale": {"model.norm": "batch"},
    "no lookahead": {"training.averaging": {"name": "none"}},
    "EMA instead of lookahead": {"training.averaging": {"name": "ema"}},
    "flips at random": {"data.augment": {"flip": {"p": 0.5}, **CROP}},
    "no flips": {"data.augment": CROP},
    "no label smoothing": {"training.label_smoothing": 0.0},
    "pooling after the activation": {"model.early_pooling": False},
    "fractional instead of maximum pooling": {"model.pooling": "fractional"},
    "smaller images first": {"training.progressive_size": {"start": 0.75, "until": 0.6}},
    "Muon instead of SGD": {"training.optimizer": {"name": "muon", "lr": 0.01, "momentum": 0.95, "weight_decay": 0.05}},
}


def fast(values: Mapping[str, Any]) -> Experiment:
    """The first configuration of `cifar10_fast` with other values, by dotted name."""
    space = load_search("cifar10_fast")
    return space.experiment({**space.first[0], **values})


def accuracy(
    task: tuple[str, int], *, root: Path, device: str, epochs: int, precision: str
) -> tuple[str, float, float]:
    """Train once: the change, the accuracy after the last epoch, and the seconds."""
    change, seed = task
    fixed = {"training.epochs": epochs, "training.precision": precision, "training.threads": 1, "seed": seed}
    experiment, place = fast({**CHANGES[change], **fixed}), torch.device(device)
    training = Training(experiment, open_splits(experiment.data, root, place), device=place)
    started = time.perf_counter()
    train(training)
    last = training.history[-1].values["val_accuracy"]
    print(f"{change}, seed {seed}: {last:.4f} in {time.perf_counter() - started:.0f} s", flush=True)
    return change, last, time.perf_counter() - started


def rows(found: Sequence[tuple[str, float, float]], **facts: Any) -> Iterator[dict[str, Any]]:
    """A row per change."""
    for change in dict.fromkeys(change for change, _, _ in found):
        accuracies = [value for name, value, _ in found if name == change]
        yield {
            "change": change,
            "accuracy": round(statistics.mean(accuracies), 4),
            "spread": round(statistics.stdev(accuracies), 4) if len(accuracies) > 1 else "",
            "seeds": len(accuracies),
            "seconds": round(statistics.median(taken for name, _, taken in found if name == change), 1),
            **facts,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="holds cifar-10-batches-py")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="bfloat16" if torch.cuda.is_available() else "float32")
    parser.add_argument("--processes", type=int, default=3 if torch.cuda.is_available() else 1)
    parser.add_argument("--only", nargs="+", choices=tuple(CHANGES), default=tuple(CHANGES))
    chosen = parser.parse_args(arguments)
    tasks = [(change, seed) for seed in range(chosen.seeds) for change in chosen.only]
    once = partial(
        accuracy, root=chosen.data_dir, device=chosen.device, epochs=chosen.epochs, precision=chosen.precision
    )
    name = torch.cuda.get_device_name() if chosen.device == "cuda" else None
    facts = {"epochs": chosen.epochs, "precision": chosen.precision, "hardware": hardware(name), **circumstances()}
    found: list[tuple[str, float, float]] = []
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
        for result in pool.imap_unordered(once, tasks):
            found.append(result)
            write_rows("ablation", list(rows(sorted(found, key=lambda row: list(CHANGES).index(row[0])), **facts)))
    print("wrote results/ablation.csv")


if __name__ == "__main__":
    main()
