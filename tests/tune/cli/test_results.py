"""`results` and `retrain` on a search that was written through the record, without Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import SPACE, search_folder
from tune.record import Record, Status
from tune.record.search_yaml import read_spec

COLUMNS = [
    "trial", "status", "reason", "best_epoch", "val_loss", "val_accuracy", "train_loss", "train_accuracy", "epochs",
    "seconds", "parameters", "mult_adds", "efficiency", "checkpoint", "proposed", "node", "gpu", "config.model.hidden_dim",
    "config.training.optimizer.lr",
]  # fmt: skip


@pytest.fixture
def search(tmp_path: Path) -> Path:
    return search_folder(tmp_path / "checkpoints" / "hidden").path


def test_rows_are_ranked_and_whole(imagetune: Command, search: Path) -> None:
    rows = imagetune("results", "hidden", "--json").document["trials"]
    assert [row["trial"] for row in rows] == [3, 2, 0, 1, 4]
    assert list(rows[0]) == COLUMNS
    best = rows[1]
    assert (best["val_loss"], best["best_epoch"], best["epochs"], best["status"]) == (0.3, 2, 3, "completed")
    assert best["parameters"] == 22_000
    assert best["efficiency"] == pytest.approx(100 * 0.7 / 22)
    assert best["config.model.hidden_dim"] == 12
    assert (rows[4]["val_loss"], rows[4]["best_epoch"], rows[4]["status"]) == (None, None, "waiting")


READING = """
import sys
from tune.cli import next_step
from tune.cli.main import app
next_step.on_terminal = lambda: True
for command in ("status", "results"):
    app([command, "hidden", "--out", sys.argv[1]], standalone_mode=False)
print(sorted({"torch", "ray", "sklearn", "matplotlib", "plotly"} & set(sys.modules)))
app(["report", "hidden", "--out", sys.argv[1]], standalone_mode=False)
print(sorted({"torch", "ray", "sklearn", "matplotlib"} & set(sys.modules)))
"""


def test_reading_a_search_needs_no_torch(search: Path) -> None:
    """It takes two thirds of the time that `status` would take with it."""
    words = [sys.executable, "-c", READING, str(search.parent)]
    found = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert "hidden: 5 trials, ranked by val_loss" in found.stdout
    assert "next: " in found.stdout
    assert found.stdout.splitlines().count("[]") == 2


def test_the_tables_are_made_anew(imagetune: Command, search: Path) -> None:
    imagetune("results", "hidden")
    trials, epochs = (pd.read_parquet(search / name) for name in ("trials.parquet", "epochs.parquet"))
    assert list(trials.columns) == COLUMNS
    assert trials["trial"].tolist() == [0, 1, 2, 3, 4]
    assert len(epochs) == 9
    assert list(epochs.columns)[:2] == ["trial", "epoch"]


def test_the_table_fits_80_columns(imagetune: Command, search: Path) -> None:
    out = imagetune("results", "hidden").out
    assert max(map(len, out.splitlines())) <= 80
    assert "hidden_dim=12" in out
    assert "lr=0.01" in out
    assert "training.optimizer" not in out
    assert out.index("0.3000") < out.index("0.6000")
    assert "epoch 2" in out  # why trial 3 diverged


def test_top_sort_and_csv(imagetune: Command, search: Path, tmp_path: Path) -> None:
    words = ("results", "hidden", "--sort", "config.model.hidden_dim", "--top", "2")
    rows = imagetune(*words, "--csv", "out/a b.csv", "--json").document["trials"]
    assert [row["trial"] for row in rows] == [0, 2]
    assert pd.read_csv("out/a b.csv")["trial"].tolist() == [0, 2]
    best = imagetune("results", "hidden", "--sort", "efficiency", "--top", "1", "--json").document["trials"]
    assert [row["trial"] for row in best] == [2]
    assert "efficiency=" in imagetune("results", "hidden", "--sort", "efficiency").out


def test_the_table_has_what_trials_are_ranked_by(imagetune: Command, search: Path) -> None:
    assert "val_loss train_loss" in imagetune("results", "hidden", "--sort", "train_loss").out
    search_folder(search.parent / "other", SPACE.replace("metric: val_loss", "metric: train_accuracy"))
    out = imagetune("results", "other").out
    assert "val_loss train_accuracy" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["results", "hiden"], 2, "'hiden' is not a search"),
        (["results", "hidden", "--sort", "val_los"], 2, "--sort: there is no column 'val_los'; did you mean val_loss?"),
        (
            ["results", "hidden", "--sort", "lr"],  # as the table calls it
            2,
            "--sort: there is no column 'lr'; did you mean config.training.optimizer.lr?",
        ),
        (["results", "hidden", "--top", "0"], 2, "--top"),
        (["retrain", "hidden", "--trial", "9"], 2, "--trial 9: checkpoints/hidden has trials 0 to 4"),
        (["retrain", "hidden", "--trial", "1", "--top", "2"], 2, "--top and --trial"),
        (["retrain", "hidden", "--trial", "4", "--full"], 2, "trial 4 has no best epoch"),
    ],
)
def test_refusals(imagetune: Command, search: Path, words: list[str], code: int, line: str) -> None:
    outcome = imagetune(*words)
    assert (outcome.code, outcome.out) == (code, "")
    assert line in outcome.err
    assert not (search / "winners").exists()


def test_a_search_without_its_record_is_damaged(imagetune: Command, search: Path) -> None:
    (search / "study.journal").unlink()
    outcome = imagetune("results", "hidden")
    assert outcome.code == 1
    assert "study.journal is missing" in outcome.err


def test_retrain_trains_the_best_sound_trial_on_several_seeds(imagetune: Command, search: Path) -> None:
    rows = imagetune("retrain", "hidden", "--seeds", "2", "--json").document["trials"]
    (row,) = rows
    assert row["trial"] == 2  # trial 3 has a better epoch, and diverged
    assert [run["name"] for run in row["runs"]] == ["00002-seed0", "00002-seed1"]
    assert [run["epochs"] for run in row["runs"]] == [3, 3]  # scheduler.max_t ends each trial after 3 of its 4 epochs
    losses = [run["val_loss"] for run in row["runs"]]
    figures = row["val_loss"]
    assert figures["n"] == 2
    assert figures["mean"] == pytest.approx(sum(losses) / 2)
    assert figures["std"] == pytest.approx(abs(losses[0] - losses[1]) / 2**0.5)
    assert (figures["min"], figures["max"]) == (min(losses), max(losses))
    assert {path.name for path in (search / "winners").iterdir()} == {"00002-seed0", "00002-seed1"}
    assert {path.name for path in search.glob("winners/*/figures/*")} == {"curves.png", "learning_rate.png"}
    assert imagetune("evaluate", "hidden/winners/00002-seed1", "--json").document["n"] == 359


def test_finished_winners_are_taken_as_they_are(imagetune: Command, search: Path) -> None:
    first = imagetune("retrain", "hidden", "--seeds", "1", "--json").document["trials"][0]
    outcome = imagetune("retrain", "hidden", "--seeds", "2", "--json")
    assert "00002-seed0: already finished; reusing it" in outcome.err
    assert outcome.document["trials"][0]["runs"][0] == first["runs"][0]
    assert first["val_loss"]["std"] is None


def test_full_trains_on_validation_too_for_the_best_number_of_epochs(imagetune: Command, search: Path) -> None:
    (row,) = imagetune("retrain", "hidden", "--seeds", "1", "--full", "--json").document["trials"]
    assert row["runs"][0]["name"] == "00002-seed0-full"
    assert row["runs"][0]["epochs"] == 2
    assert "val_loss" not in row
    assert "train_loss" in row
    table = pd.read_parquet(search / "winners" / "00002-seed0-full" / "epochs.parquet")
    assert table["val_loss"].isna().all()
    outcome = imagetune("evaluate", "hidden/winners/00002-seed0-full", "--split", "validation")
    assert outcome.code == 2
    assert "has no validation images: it was trained on them" in outcome.err


def test_a_trial_by_number_and_the_table(imagetune: Command, search: Path) -> None:
    outcome = imagetune("retrain", "hidden", "--trial", "1", "--seeds", "2")
    assert "trial 1: 2 runs" in outcome.out
    assert "val_accuracy" in outcome.out
    assert str(Path("checkpoints/hidden/winners/00001-seed0")) in outcome.out


def test_a_winner_that_diverges_is_not_counted(imagetune: Command, tmp_path: Path) -> None:
    text = SPACE.replace("schedule: {name: cosine}", "schedule: {name: cosine}, optimizer: {name: sgd}").replace(
        "{float: [1e-4, 1e-1], log: true}", "{float: [1e-4, 1e38], log: true}"
    )
    folder = search_folder(tmp_path / "checkpoints" / "wild", text)
    record = Record.open(folder.journal, folder.name, read_spec(folder).search.objective)
    number = record.add(read_spec(folder).space, {"model.hidden_dim": 9, "training.optimizer.lr": 1e38}, {})
    record.start(number)
    record.end(number, Status.STOPPED, "by hand")
    outcome = imagetune("retrain", "wild", "--trial", str(number), "--seeds", "1", "--json")
    assert outcome.code == 1
    assert "every run diverged" in outcome.err
    assert outcome.document["trials"][0]["runs"][0]["end"] == "diverged"
    told = imagetune("retrain", "wild", "--trial", str(number), "--seeds", "1").out
    assert f"trial {number}: 1 run, 1 diverged\n" in told
    assert "best epoch" not in told, "there is nothing to put in a table"
