"""`preview`: what is told about spaces of every size, in 80 columns and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

import models
from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import SPACE, written
from tune.search.preview import space as preview


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "SAMPLES", 60)


GRID = """
experiment:
  data: {name: digits, train_limit: 300}
  model: {name: simple_cnn, conv_channels: [4]}
  training: {epochs: 4, batch_size: 64, threads: 1}
space:
  model.hidden_dim: {choice: [8, 16, 32]}
  training.epochs: {int: [2, 4], step: 2}
constraints: {parameters: {max: 2000}}
search: {trials: 50, concurrent: 1, scheduler: {name: none}, retention: {best: 2}, resources: {gpu: 0}}
"""


def test_a_grid_is_counted_in_full(imagetune: Command, tmp_path: Path) -> None:
    """Of 3 x 2 configurations, the largest network violates the constraint."""
    found = imagetune("preview", written(tmp_path, GRID), "--json").document
    costs = [models.cost_of("simple_cnn", (1, 8, 8), 10, conv_channels=[4], hidden_dim=h) for h in (8, 16, 32)]
    assert costs[1].parameters <= 2000 < costs[2].parameters
    assert (found["trials"], found["samples"], found["exhaustive"]) == (4, 6, True)
    assert found["infeasible"] == pytest.approx(1 / 3)
    assert "constraints.parameters" in found["reasons"][0]["example"]
    assert found["epochs"] == {"expected": pytest.approx(12, abs=3), "most": 12, "longest_trial": 4}
    assert (found["parameters"]["min"], found["parameters"]["max"]) == (costs[0].parameters, costs[1].parameters)
    assert found["disk_mb"] == pytest.approx(costs[1].params_bytes * (4 * 2 + 2) / 1e6)
    assert found["seconds"]["search"] == pytest.approx(found["seconds"]["epoch"] * found["epochs"]["expected"])
    assert found["seconds"]["retrain"] == pytest.approx(found["seconds"]["epoch"] * 4 * 3)
    several = "search.objectives=[{metric: val_loss}, {metric: parameters}]"
    found = imagetune("preview", written(tmp_path, GRID), several, "search.keep_for_retraining=5", "--json").document
    assert found["disk_mb"] == pytest.approx(costs[1].params_bytes * (4 * 2 + 4) / 1e6)  # all four may be the front
    assert found["seconds"]["retrain"] == pytest.approx(found["seconds"]["epoch"] * 4 * 5)


@pytest.mark.parametrize(
    ("domain", "trials", "exhaustive"),
    [("{choice: [8]}", 1, True), ("{int: [1, 60000]}", 50, False), ("{choice: [32]}", 0, True)],
)
def test_spaces_of_one_point_of_none_and_of_many(
    imagetune: Command, tmp_path: Path, domain: str, trials: int, exhaustive: bool
) -> None:
    text = GRID.replace("{choice: [8, 16, 32]}", domain).replace("{int: [2, 4], step: 2}", "{choice: [2]}")
    text = text.replace("max: 2000", "max: 2000" if exhaustive else "max: 1_000_000_000")
    path = written(tmp_path, text)
    found = imagetune("preview", path, "--json").document
    assert (found["trials"], found["exhaustive"]) == (trials, exhaustive)
    assert found["epochs"]["expected"] == 2 * trials
    assert imagetune("preview", path).code == 0


@pytest.mark.parametrize(("points", "trials", "exhaustive"), [(3, 9, True), (40, 50, False)])
def test_a_grid_of_ranges_has_as_many_trials_as_points(
    imagetune: Command, tmp_path: Path, points: int, trials: int, exhaustive: bool
) -> None:
    fields = (
        "  training.optimizer.lr: {float: [1e-4, 1e-1], log: true}\n  training.label_smoothing: {float: [0.0, 0.1]}\n"
    )
    text = f"{GRID[: GRID.index('space:')]}space:\n{fields}{GRID[GRID.index('search:') :]}"
    sampler = f"search.sampler={{name: grid, points: {points}}}"
    found = imagetune("preview", written(tmp_path, text), sampler, "--json").document
    assert (found["trials"], found["exhaustive"]) == (trials, exhaustive)


@pytest.mark.parametrize("name", ["digits", "vae", "cifar10_classifier_wide"])
def test_it_fits_80_columns_and_needs_no_images(
    imagetune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(preview, "SAMPLES", 6)
    monkeypatch.setattr(preview, "MEASURING", 0.0)
    out = imagetune("preview", name).out
    assert max(map(len, out.splitlines())) <= 80
    for word in ("trials", "epochs", "rungs", "infeasible", "parameters", "mult-adds", "memory", "disk", "time"):
        assert word in out
    assert list(tmp_path.iterdir()) == []


def test_a_space_in_which_nothing_can_be_trained_is_said_to_be_one(imagetune: Command, tmp_path: Path) -> None:
    out = imagetune("preview", written(tmp_path, SPACE), "constraints.parameters.max=1").out
    assert "none of these can be trained: change the space or the constraints" in out
    for word in ("epochs", "rungs", "disk", "time"):
        assert f"\n  {word} " not in out


def test_a_slow_space_is_looked_at_for_a_bounded_time(
    imagetune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "SAMPLING", 0.0)
    found = imagetune("preview", written(tmp_path, SPACE), "--json").document
    assert (found["samples"], found["exhaustive"]) == (1, False)


def test_what_cannot_be_searched_is_refused(imagetune: Command, tmp_path: Path) -> None:
    assert imagetune("preview", "mnist_v0").code == 2
    outcome = imagetune("preview", written(tmp_path, SPACE), "search.trials=0", "training.epochs=-1")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 2)
