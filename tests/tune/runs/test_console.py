"""What a person reads of a training fits a terminal of 80 columns."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from data.words import printable
from tests.tune.runs.folders import Quiet
from tune.record.observer import Observers
from tune.runs.console import RunLog, epoch_line, opening
from tune.spec.experiment import Experiment
from tune.spec.metric import EpochMetrics, metrics_of
from tune.training import Training, open_splits

METRICS = EpochMetrics(
    3, {"train_loss": 0.4118, "train_accuracy": 0.8712, "val_loss": 0.388, "val_accuracy": 0.88}, 1e-3, 2.14
)


def test_an_epoch_in_a_line() -> None:
    line = "epoch 3/10  train 0.4118 87.12%  val 0.3880 88.00%  lr 0.001  2.1 s  left 0:15"
    assert epoch_line(METRICS, 10, 15.2) == line
    bare = EpochMetrics(1, {"train_loss": math.nan, "train_accuracy": 0.1}, 1e38, 0.04)
    assert epoch_line(bare, 10) == "epoch 1/10  train nan 10.00%  lr 1e+38  0.0 s"
    vae = {"loss": 31.6251, "reconstruction": 24.4, "kl": 7.2251}
    values = {f"{part}_{name}": value for part in ("train", "val") for name, value in vae.items()}
    line = "epoch 9/10  train 31.63  val 31.63 recon 24.40 kl 7.225  lr 0.001  left 0:12"
    assert epoch_line(EpochMetrics(9, values, 1e-3, 12.1), 10, 12.1) == line


def test_every_line_fits_80_columns() -> None:
    lines = []
    values = (0.00004, 0.04321, 0.99999, 1.23456, 23.4567, 99.9999, 987.654, math.nan, math.inf)
    for task, loss, seconds in itertools.product(("classification", "reconstruction"), values, (0.01, 9.99, 35.6, 300)):
        for accuracy, kl in itertools.product((0.0, 0.98765, 1.0), (0.01, 5.4321, 43.21, 123.4)):
            by_kind = {"loss": loss, "reconstruction": loss, "kl": kl, "accuracy": accuracy}
            measured = {metric.name: by_kind[metric.kind] for metric in metrics_of(task)}
            lines.append(epoch_line(EpochMetrics(1000, measured, 1e-3, seconds), 1000, seconds * 1000))
    assert len(lines) == 2 * 9 * 4 * 3 * 4
    assert max(map(len, lines)) <= 80
    assert all(" lr 0.001 " in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(0.4, "0:00"), (59.6, "1:00"), (727, "12:07"), (3723, "1:02:03"), (36_000, "10 h"), (1e6, "12 days")],
)
def test_the_time_left(seconds: float, left: str) -> None:
    assert epoch_line(METRICS, 10, seconds).endswith(f"  left {left}")


@pytest.mark.parametrize("name", ["digits", "a-run-with-a-name-of-thirty-five-ch"])
@pytest.mark.parametrize("model", ["mnist_mlr", "mnist_residual"])
def test_the_opening_says_what_is_trained(name: str, model: str, tmp_path: Path) -> None:
    tree: dict[str, Any] = {"data": {"name": "digits"}, "model": {"name": model}}
    experiment = Experiment.model_validate(tree)
    cpu = torch.device("cpu")
    training = Training(experiment, open_splits(experiment.data, tmp_path, cpu), device=cpu, threads=2)
    lines = opening(name, training)
    assert all(len(line) <= 80 for line in lines)
    joined = " ".join(map(str.strip, lines))
    assert joined.startswith(f"{name}: training: {model} (")
    assert joined.endswith(" parameters) on digits (1,294 training and 144 validation images), cpu, 2 threads")
    training.run_epoch()
    assert " ".join(map(str.strip, opening(name, training))).startswith(f"{name}: resuming after epoch 1: {model} (")


def test_the_log_has_what_the_console_has_and_grows_after_a_resume(tmp_path: Path) -> None:
    experiment = Experiment.model_validate({"data": {"name": "digits"}, "model": {"name": "mnist_mlr"}})
    cpu, path, screen = torch.device("cpu"), tmp_path / "train.log", Quiet()
    training = Training(experiment, open_splits(experiment.data, tmp_path, cpu), device=cpu)
    for _ in range(2):
        with RunLog(path) as log:
            both = Observers(screen, log)
            both.training("digits", training, 4)
            both.epoch(None, METRICS)
            both.say("a path with a\nline break")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(line[:4].isdigit() for line in lines)
    assert [line.split("  ", 1)[1] for line in lines] == [printable(line) for line in screen.lines]
    assert screen.lines.count(epoch_line(METRICS, 4, METRICS.seconds)) == 2
