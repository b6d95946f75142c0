"""Seconds per epoch with one thread, several, and `training.threads: auto`, alone and beside busy processes.

    python -m tests.benchmarks.busy_cores [--epochs 5] [--spins 10000]

Each variant trains in a process of its own, and they take turns epoch by epoch: first alone, then beside one process
that computes without end per core that one thread leaves. `auto` is measured alone, with an empty cache, and stays. A
number of spins is how long threads spin at a barrier before they sleep (`GOMP_SPINCOUNT`); `auto` has imagetune's own.
`results/busy_cores.csv` gets the medians, and their ratios to one thread alone, which are to be at most 1.5.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from data.files import cores
from tests.benchmarks.rows import circumstances, write_rows

MODELS = {  # with how many training images
    "vae_digits": None,
    "mnist_cnn": 12_000,
    "simple_cnn_mnist": 2_000,
    "classifier_best": 500,
}
SPAWN = multiprocessing.get_context("spawn")
AUTO = "auto"


class Trainer:
    """A process that trains an epoch when told."""

    def __init__(self, model: str, threads: str, spins: str | None) -> None:
        self._here, there = SPAWN.Pipe()
        self.model, self.threads, self.spins = model, threads, spins
        self._process = SPAWN.Process(target=serve, args=(there, model, threads), daemon=True)
        before = os.environ.pop("GOMP_SPINCOUNT", None)
        if spins is not None:
            os.environ["GOMP_SPINCOUNT"] = spins
        self._process.start()  # torch reads the variable when it is imported there
        os.environ.pop("GOMP_SPINCOUNT", None)
        if before is not None:
            os.environ["GOMP_SPINCOUNT"] = before

    def ready(self) -> None:
        """Wait until it is."""
        self._here.recv()

    def ask(self, what: str) -> Any:
        """`measure`: the number of threads; `epoch`: its seconds."""
        self._here.send(what)
        return self._here.recv()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def serve(pipe: Connection, model: str, threads: str) -> None:
    """Train epochs in this process for as long as the other end of the pipe asks for them."""
    import torch

    from tune.runs.auto import choose
    from tune.spec import data_root, load_experiment
    from tune.training import Training, open_splits, prepare_process

    prepare_process()
    limit = MODELS[model]
    fields = [f"training.threads={threads}", "training.epochs=1000", "training.schedule={name: constant}"]
    fields += ["training.early_stopping=null", *([f"data.train_limit={limit}"] if limit else [])]
    experiment = load_experiment(model, fields, data_root())
    splits = open_splits(experiment.data, data_root(), torch.device("cpu"))
    training: Training | None = None
    pipe.send("ready")
    while True:
        if pipe.recv() == "measure":
            choice = choose(experiment, splits.input_shape, len(splits.classes), torch.device("cpu"), cores())
            training = Training(choice.applied(experiment), splits, device=torch.device("cpu"))
            training.run_epoch()  # the first is slow: memory is allocated
            pipe.send(training.threads)
            continue
        assert training is not None
        began = time.perf_counter()
        training.run_epoch()
        pipe.send(time.perf_counter() - began)


def spin() -> None:
    """Keep a core busy."""
    while True:
        pass


def turns(trainers: Sequence[Trainer], epochs: int) -> list[float]:
    """The median seconds of an epoch of each, taking turns."""
    seconds = [[trainer.ask("epoch") for trainer in trainers] for _ in range(epochs)]
    medians = [statistics.median(own) for own in zip(*seconds, strict=True)]
    names = [f"{trainer.threads}/{trainer.spins} {value:.3f}" for trainer, value in zip(trainers, medians, strict=True)]
    print(f"{trainers[0].model}, threads/spins seconds: {', '.join(names)}", flush=True)
    return medians


def beside(count: int, measure: Callable[[], list[float]]) -> list[float]:
    """What is measured beside busy processes."""
    neighbours = [SPAWN.Process(target=spin, daemon=True) for _ in range(count)]
    for neighbour in neighbours:
        neighbour.start()
    time.sleep(2)  # until they are there
    try:
        return measure()
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.join()


def main() -> None:
    """Measure, print, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS])
    parser.add_argument("--spins", nargs="*", default=["300000"], help="of further rows with all cores")
    parser.add_argument("--when", type=Path, help="begin when this file exists: all processes are ready by then")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        rows = [row for row in measured(given) if print(row, flush=True) is None]
    print(write_rows("busy_cores", rows, key="experiment"))


def measured(given: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows."""
    from tune.environment import OPENMP

    own, every = OPENMP["GOMP_SPINCOUNT"], str(cores())
    variants = [("1", own), (every, own), *((every, spins) for spins in given.spins), (AUTO, own)]
    trainers = {model: [Trainer(model, *variant) for variant in variants] for model in given.models}
    for trainer in (trainer for each in trainers.values() for trainer in each):
        trainer.ready()
    while given.when is not None and not given.when.exists():
        time.sleep(0.2)
    threads = {model: [trainer.ask("measure") for trainer in each] for model, each in trainers.items()}
    alone = {model: turns(each, given.epochs) for model, each in trainers.items()}
    busy: dict[str, list[float]] = {}

    def measure() -> list[float]:
        for model, each in trainers.items():
            busy[model] = turns(each, given.epochs)
        return []

    beside(cores() - 1, measure)
    for trainer in (trainer for each in trainers.values() for trainer in each):
        trainer.close()
    return [
        {
            "experiment": model,
            "threads": f"auto: {count}" if trainer.threads == AUTO else str(count),
            "spins": trainer.spins,
            "busy processes": neighbours,
            "seconds": round(seconds, 3),
            "ratio to one thread alone": round(seconds / alone[model][0], 2),
            "n": given.epochs,
            "load": round(os.getloadavg()[0], 1),
            **circumstances(),
        }
        for neighbours, found in ((0, alone), (cores() - 1, busy))
        for model, each in trainers.items()
        for trainer, count, seconds in zip(each, threads[model], found[model], strict=True)
    ]


if __name__ == "__main__":
    main()
