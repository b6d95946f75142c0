"""Searches and runs that version 0.1 left are read, used and continued by this one.

`earlier_version.tar.xz` was written at commit d99d789, before images were recorded: a finished search of digits with a
winner that was evaluated, an interrupted and a killed search, a killed run (their epochs are fewer in the files than
they were, so that they end soon), and a run on a user's folder, /data/images.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from tests.tune.cli.conftest import Command
from tests.tune.cli.earlier_version import unpack
from tests.tune.runs.folders import image_folder
from tune import load_run, load_search
from tune.record.folder import SearchFolder
from tune.record.search_yaml import read_outline, read_spec
from tune.spec.options.samplers import TpeSpec
from tune.spec.options.schedulers import AshaSpec
from tune.training import load_weights

WINNER = "finished/winners/00000-seed0"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return unpack(tmp_path / "checkpoints")


def test_searches_are_shown(out: Path, imagetune: Command) -> None:
    status = imagetune("status", "finished", "--json").document
    assert (status["status"], status["counts"]["completed"], status["counts"]["stopped"]) == ("finished", 1, 3)
    best, *others = imagetune("results", "finished", "--json").document["trials"]
    assert (best["trial"], best["best_epoch"], best["parameters"], len(others)) == (0, 5, 690, 3)
    assert best["val_loss"] == pytest.approx(0.1935, abs=1e-4)
    assert imagetune("results", "finished", "--sort", "parameters", "--csv", out / "trials.csv").code == 0
    assert imagetune("report", "finished").code == 0
    for name in ("interrupted", "killed"):
        status = imagetune("status", name, "--json").document
        assert (status["status"], status["counts"]["waiting"]) == ("interrupted", 1)


def test_notebooks_read_them(out: Path) -> None:
    search = load_search(out / "finished")
    assert (len(search.trials), len(search.epochs)) == (4, 9)
    assert search.model(0)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    run = load_run(out / WINNER)
    assert (len(run.epochs), run.evaluation["n"]) == (6, 359)
    assert run.model()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_asha_stops_trials_as_it_did(out: Path) -> None:
    """Their files have no `type`, whose default is `promotion` today; the sampler is named in them."""
    folder = SearchFolder(out / "killed")
    for settings in (read_outline(folder)[0], read_spec(folder).search):
        assert settings.scheduler == AshaSpec(type="stopping", max_t=5, grace_period=5, reduction_factor=2)
        assert settings.sampler == TpeSpec()


def test_a_run_is_evaluated_as_before(out: Path, imagetune: Command) -> None:
    before = json.loads((out / WINNER / "evaluation.json").read_text())
    now = imagetune("evaluate", WINNER, "--json").document
    assert now["accuracy"] == before["accuracy"]
    assert now["confusion"] == before["confusion"]
    assert now["loss"] == pytest.approx(before["loss"], abs=1e-6)


def test_a_run_predicts(out: Path, imagetune: Command, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    (row,) = imagetune("predict", WINNER, tmp_path / "black.png", "--json").document["predictions"]
    assert sum(one["probability"] for one in row["top"]) <= 1 + 1e-6


def test_a_killed_run_goes_on_from_its_checkpoint(out: Path, imagetune: Command) -> None:
    run = imagetune("train", "run_killed", "--resume", "--json").document
    assert run["epochs"] == 4
    epochs = pd.read_parquet(out / "run_killed" / "epochs.parquet")
    assert epochs.train_loss.round(4).tolist()[:2] == [1.7215, 0.8298]  # as the old train.log has them
    # The winner is the same training, which the old version took to its end.
    old = pd.read_parquet(out / WINNER / "epochs.parquet")
    # Another CPU sums in another order, which maxima of fractional pooling enlarge.
    pd.testing.assert_series_equal(epochs.val_loss, old.val_loss[:4], rtol=1e-2)
    assert imagetune("train", "run_killed", "--resume", "training.epochs=5", "--json").document["epochs"] == 5


def test_winners_are_found_and_more_are_trained(out: Path, imagetune: Command) -> None:
    weights = load_weights(out / WINNER / "model.safetensors")[0]
    outcome = imagetune("retrain", "finished", "--seeds", "2", "--json")
    (row,) = outcome.document["trials"]
    assert [Path(run["folder"]).name for run in row["runs"]] == ["00000-seed0", "00000-seed1"]
    after = load_weights(out / WINNER / "model.safetensors")[0]
    assert all(torch.equal(weights[name], after[name]) for name in weights)  # not trained again
    outcome = imagetune("train", WINNER, "--resume", "training.epochs=7")
    assert (outcome.code, "continue it with `imagetune retrain`" in outcome.err) == (2, True)


def test_moved_images_are_found_but_a_checkpoint_names_its_place(out: Path, imagetune: Command, tmp_path: Path) -> None:
    assert "data.path=FOLDER" in imagetune("evaluate", "run_on_folder").err
    images = image_folder(tmp_path / "moved", ("a b", "c", "ünï"), each=20)
    assert imagetune("evaluate", "run_on_folder", f"data.path={images}", "--json").document["n"] == 12
    outcome = imagetune("train", "run_on_folder", "--resume", f"data.path={images}", "training.epochs=3")
    assert outcome.code != 0
    assert "move or link them back" in outcome.err
