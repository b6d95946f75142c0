"""Figures of a training: the learning rate of every step as it was set, and pictures for every kind of run."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.tune.runs.folders import Quiet, plan, trained
from tune.runs import curves
from tune.runs.curves import comparable, write_curves
from tune.runs.info import read_run, write_run
from tune.runs.run import Interrupted, run
from tune.training import learning_rates, steps_per_epoch

pytestmark = pytest.mark.usefixtures("drawn")


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


class Rates(Quiet):
    """Remembers the learning rate of every step, and interrupts after an epoch on request."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        super().__init__()
        self.rates: list[float] = []
        self._after = interrupt_after

    def step(self, step: int, steps: int, lr: float) -> None:
        self.rates.append(lr)

    def say(self, text: str) -> None:
        super().say(text)
        if self._after is not None and text.startswith(f"epoch {self._after}/"):
            raise KeyboardInterrupt


SGD = "optimizer={name: sgd, lr: 0.5, momentum: 0.9}"
SCHEDULES = [
    ("schedule={name: constant}", "averaging={name: swa, start: 0.5, lr: 0.005}"),
    ("schedule={name: step, step_size: 2, gamma: 0.5}", SGD),
    ("schedule={name: multistep, milestones: [1, 3]}", SGD),
    ("schedule={name: cosine, warmup_epochs: 1.5, per_batch: true}", "averaging={name: swa, start: 0.5, lr: 0.005}"),
    ("schedule={name: cosine, min_lr: 0.001}", "optimizer.name=adamw"),
    ("schedule={name: onecycle}", SGD),
    ("schedule={name: plateau, patience: 0, factor: 0.5}", "optimizer.name=muon"),
]


@pytest.mark.parametrize("recipe", SCHEDULES, ids=lambda recipe: recipe[0])
def test_the_learning_rate_of_every_step_is_what_was_set(tmp_path: Path, recipe: tuple[str, str]) -> None:
    words = (*(f"training.{field}" for field in recipe), "training.epochs=5", "training.batch_size=50")
    own, told = plan(tmp_path, *words), Rates()
    run(own, tmp_path, told)
    table = pd.read_parquet(own.folder.epochs_table)
    experiment, info = read_run(own.folder)
    assert info.train_images == 300
    steps = steps_per_epoch(300, 50)
    rates = learning_rates(experiment.training, steps, [epoch.values for epoch in curves._history(table)])
    assert len(rates) == 5 * 6
    assert rates == told.rates
    assert rates[steps - 1 :: steps] == table["lr"].tolist()


def test_an_interrupted_run_has_its_curves_once_they_are_asked_for(tmp_path: Path) -> None:
    own = plan(tmp_path)
    paths = [own.folder.figures / name for name in ("curves.png", "learning_rate.png")]

    def drawn() -> list[bytes]:
        write_curves(own.folder, print)
        assert all(size(path)[1] > 300 for path in paths)
        return [path.read_bytes() for path in paths]

    with pytest.raises(Interrupted):
        run(own, tmp_path, Rates(interrupt_after=2))
    before = drawn()
    run(own, tmp_path, Rates(), resume=True)
    assert all(one != other for one, other in zip(before, drawn(), strict=True))


def test_they_are_drawn_again_only_where_the_run_has_gone_on(tmp_path: Path) -> None:
    folder = trained(tmp_path, "training.epochs=1").folder
    write_curves(folder, print)
    path = folder.figures / "curves.png"
    path.write_bytes(b"as it was")
    write_curves(folder, print)
    assert path.read_bytes() == b"as it was"
    os.utime(folder.epochs_table, ns=(time := path.stat().st_mtime_ns + 10**9, time))
    write_curves(folder, print)
    assert path.read_bytes() != b"as it was"


@pytest.mark.parametrize(
    "words",
    [
        ("data.validation_fraction=0", "training.epochs=1"),
        ("model={name: vae, cnn_layers: 2, starting_channels: 8, final_channels: 16, latent_dim: 4}",),
        ("training.optimizer={name: muon, lr: 0.01}", "data.train_limit=20", "training.batch_size=20"),
    ],
    ids=["no validation", "vae", "one step"],
)
def test_curves_of_other_runs(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder, lines = trained(tmp_path, *words).folder, list[str]()
    write_curves(folder, lines.append)
    assert lines == []
    width, height = size(folder.figures / "curves.png")
    assert width > height


def test_the_training_loss_of_a_vae_is_drawn_on_the_scale_of_its_validation_loss(tmp_path: Path) -> None:
    folder = trained(tmp_path, "model={name: vae, cnn_layers: 2, latent_dim: 4}", "training.beta=0.1").folder
    table = pd.read_parquet(folder.epochs_table)
    for part, drawn in (("val", table), ("train", comparable(table, *read_run(folder)))):
        bound = table[f"{part}_reconstruction"] / 0.1 + table[f"{part}_kl"] + 8 * 8 * math.log(0.1) / 2
        assert drawn[f"{part}_loss"].tolist() == pytest.approx(bound.tolist(), rel=1e-5)


def test_a_run_of_an_earlier_version_has_one_rate_per_epoch(tmp_path: Path) -> None:
    folder, lines = trained(tmp_path).folder, list[str]()
    experiment, info = read_run(folder)
    write_run(folder, experiment, info.model_copy(update={"train_images": None}))
    write_curves(folder, lines.append)
    assert lines == []
    assert size(folder.figures / "learning_rate.png") == (640, 360)


def test_no_epoch_no_figure_and_a_figure_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, lines = plan(tmp_path), list[str]()
    write_curves(own.folder, lines.append)
    assert not own.folder.path.exists()
    monkeypatch.setattr("tune.drawing.png", lambda figure: 1 / 0)
    run(dataclasses.replace(own, epochs=1), tmp_path, Quiet())
    write_curves(own.folder, lines.append)
    assert len(lines) == 1
    assert lines[0].startswith(f"could not draw the curves of {own.folder.path} (ZeroDivisionError")
