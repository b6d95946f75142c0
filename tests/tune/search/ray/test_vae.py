"""A search of a VAE from end to end: no accuracy anywhere, and nothing that misses it."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tune.cli.main import app
from tune.search.display import Page
from tune.search.request import Request
from tune.search.runner import run_search

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray"), pytest.mark.timeout(180)]

SPACE = """
experiment:
  data: {name: digits, train_limit: 300}
  model: {name: vae, cnn_layers: 2, starting_channels: 8, final_channels: 16}
  training: {epochs: 3, batch_size: 32, threads: 1}
space:
  model.latent_dim: {int: [2, 6]}
  training.beta: {float: [0.05, 1.0], log: true}
  training.optimizer.lr: {float: [1e-3, 1e-2], log: true}
search: {trials: 4, concurrent: 1, resources: {gpu: 0}, scheduler: {max_t: 3, grace_period: 1}, retention: {best: 2}}
"""


def command(*words: str | Path) -> str:
    outcome = CliRunner().invoke(app, [str(word) for word in words])
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def test_a_search_its_tables_and_its_winner(tmp_path: Path) -> None:
    """By a metric that is no column of a classifier's tables."""
    metric = "val_reconstruction"
    path = tmp_path / "latent.yaml"
    path.write_text(SPACE)
    page = Page(Console(file=io.StringIO(), force_terminal=True, width=200))
    request = Request(str(path), tmp_path / "out", tmp_path / "data", overrides=(f"search.metric={metric}",))
    outcome = run_search(request, page)
    assert (outcome.state, outcome.exit_code) == ("finished", 0)

    trials = pd.read_parquet(outcome.folder.trials_table)
    epochs = pd.read_parquet(outcome.folder.epochs_table)
    assert len(trials) == 4
    assert trials[["val_accuracy", "train_accuracy", "efficiency"]].isna().all(axis=None)
    assert trials[["val_loss", "val_reconstruction", "val_kl", "train_loss"]].notna().all(axis=None)
    bound = epochs["val_loss"] - epochs["val_kl"]
    beta = epochs["trial"].map(trials.set_index("trial")["config.training.beta"])
    assert (bound - epochs["val_reconstruction"] / beta - 32 * beta.map(math.log)).abs().max() < 1e-2
    kept = trials[trials["checkpoint"].notna()]
    assert set(kept["trial"]) == set(trials.nsmallest(2, metric)["trial"])

    best = trials.sort_values(metric).iloc[0]
    folder = outcome.folder.path
    shown = command("results", folder, "--top", "2")
    assert "val_reconstruction" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.splitlines()[3].split()[0] == str(best["trial"])
    assert f"val_kl {best['val_kl']:.4f}" in command("status", folder)
    command("retrain", folder, "--seeds", "1")
    (winner,) = (folder / "winners").iterdir()
    assert "reconstruction" in command("evaluate", winner)
