"""Run folders, search folders and image folders for the tests of results and commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import data
from search_spaces import Config
from tune.record import Record, RunFolder, SearchFolder, Status
from tune.record.same_data import record_data
from tune.record.search_yaml import write_spec
from tune.runs.console import RunLines
from tune.runs.plan import RunPlan
from tune.runs.run import RunResult, run
from tune.spec import load_experiment, load_search
from tune.spec.metric import EpochMetrics

EXPERIMENT = """
data: {name: digits, train_limit: 300}
model: {name: simple_cnn, conv_channels: [4], hidden_dim: 16}
training: {epochs: 3, batch_size: 64, optimizer: {lr: 0.01}, schedule: {name: cosine}, threads: 1}
"""

SPACE = """
# A space for tests.
experiment:
  data: {name: digits, train_limit: 300}
  model: {name: simple_cnn, conv_channels: [4]}
  training: {epochs: 4, batch_size: 64, threads: 1, schedule: {name: cosine}}
space:
  model.hidden_dim: {int: [8, 32]}
  training.optimizer.lr: {float: [1e-4, 1e-1], log: true}
search: {metric: val_loss, trials: 4, scheduler: {name: asha, max_t: 3}}
"""


class Quiet(RunLines):
    """Remembers the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def written(folder: Path, text: str = EXPERIMENT, name: str = "tiny.yaml") -> Path:
    """A YAML file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def plan(tmp_path: Path, *overrides: str, name: str = "run") -> RunPlan:
    """A plan for the small experiment."""
    return RunPlan(load_experiment(str(written(tmp_path)), overrides), RunFolder(tmp_path / "out" / name))


def trained(tmp_path: Path, *overrides: str, name: str = "run") -> RunResult:
    """The small experiment, trained."""
    return run(plan(tmp_path, *overrides, name=name), tmp_path, Quiet())


def curve(losses: Sequence[float]) -> Iterator[EpochMetrics]:
    """Epochs with these validation losses."""
    for epoch, loss in enumerate(losses, start=1):
        accuracy = max(0.0, 1 - loss)
        values = {"train_loss": loss, "train_accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy}
        yield EpochMetrics(epoch, values, 0.01, 0.5)


def search_folder(path: Path, text: str = SPACE, root: Path | None = None) -> SearchFolder:
    """A search of five trials, as a driver leaves it: completed, stopped, best, diverged, still waiting."""
    folder = SearchFolder(path)
    spec = load_search(str(written(path.parent / "spaces", text, "space.yaml")))
    identity = data.identify(spec.sample.data.source, root or path)
    write_spec(folder, spec, {"data": record_data(folder.path, identity)})
    record = Record.create(folder.journal, folder.name, spec.search.objective)

    def trial(config: Config, losses: Sequence[float], status: Status | None, reason: str = "") -> None:
        number = record.add(spec.space, config, {"parameters": 1000 * (10 + config["model.hidden_dim"])})
        if status is None:
            return
        record.start(number)
        for metrics in curve(losses):
            record.epoch(number, metrics)
        record.end(number, status, reason)

    def config(hidden: int, lr: float) -> Config:
        return {"model.hidden_dim": hidden, "training.optimizer.lr": lr}

    trial(config(8, 0.001), [0.9, 0.7, 0.6], Status.COMPLETED, "all epochs")
    trial(config(16, 0.002), [0.95], Status.STOPPED, "asha")
    trial(config(12, 0.01), [0.5, 0.3, 0.4], Status.COMPLETED, "all epochs")
    trial(config(32, 0.1), [0.1, float("nan")], Status.DIVERGED, "epoch 2")
    trial(config(20, 0.003), [], None)
    return folder


def image_folder(path: Path, classes: Sequence[str] = ("red", "green", "blue"), each: int = 12) -> Path:
    """Noisy images, a folder per class; each class is bright in one channel."""
    chance = np.random.default_rng(0)
    for label, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for index in range(each):
            pixels = chance.integers(0, 120, (16, 16, 3), dtype=np.uint8)
            pixels[..., label % 3] += 120
            Image.fromarray(pixels).save(path / name / f"{index}.png")
    return path
