"""`train` as a user meets it: files, JSON, names, resume, weights, and what is refused before anything is written."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import EXPERIMENT, image_folder, search_folder, written
from tune.cli.screen import Screen
from tune.record.tables import EPOCH_COLUMNS
from tune.spec.files import read_tree

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return written(tmp_path)


def epochs(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "epochs.parquet").drop(columns="seconds")


def test_a_run_folder(imagetune: Command, tiny: Path) -> None:
    row = imagetune("train", tiny, "training.epochs=2", "--json").document
    run = Path("checkpoints/tiny")
    assert row["folder"] == str(run)
    assert (row["name"], row["end"], row["epochs"]) == ("tiny", "epochs", 2)
    assert row["best_epoch"] in (1, 2)
    files = {path.name for path in run.iterdir()}
    assert files == {"experiment.yaml", "epochs.parquet", "model.safetensors", "last.pt", "train.log", "figures"}
    assert {path.name for path in (run / "figures").iterdir()} == {"curves.png", "learning_rate.png"}
    table = pd.read_parquet(run / "epochs.parquet")
    assert list(table.columns) == [name for name in EPOCH_COLUMNS if name != "trial"]
    assert table["epoch"].tolist() == [1, 2]
    assert row["val_loss"] == table["val_loss"].min()


def test_progress_goes_to_stderr_and_to_the_log(imagetune: Command, tiny: Path) -> None:
    outcome = imagetune("train", tiny, "--name", "a")
    log = Path("checkpoints/a/train.log").read_text(encoding="utf-8")
    for line in outcome.err.splitlines():
        assert line in log
    assert "epoch 3/3  train" in outcome.err
    assert "best epoch" in outcome.out


def test_the_experiment_is_recorded_whole(imagetune: Command, tiny: Path) -> None:
    imagetune("train", tiny, "data.normalize=dataset", "seed=7", "training.epochs=1")
    tree = read_tree(Path("checkpoints/tiny/experiment.yaml"))
    assert tree["experiment"]["seed"] == 7
    assert tree["experiment"]["training"]["threads"] == 1
    assert tree["experiment"]["training"]["optimizer"]["weight_decay"] == 0.0
    made = tree["made_with"]
    assert made["classes"] == [str(digit) for digit in range(10)]
    assert made["input_shape"] == [1, 8, 8]
    assert made["normalization"]["mean"][0] == pytest.approx(0.30, abs=0.02)
    assert made["metric"] == "val_loss"
    assert set(made["versions"]) >= {"python", "torch", "imagetune"}


def test_the_recorded_experiment_trains_the_same_again(imagetune: Command, tiny: Path) -> None:
    imagetune("train", tiny, "training.optimizer.lr=0.02")
    imagetune("train", "checkpoints/tiny/experiment.yaml", "--name", "again")
    assert epochs(Path("checkpoints/tiny")).equals(epochs(Path("checkpoints/again")))


def test_threads_of_the_machine_are_recorded(imagetune: Command, tmp_path: Path) -> None:
    path = written(tmp_path, EXPERIMENT.replace(", threads: 1", ""), "free.yaml")
    imagetune("train", path, "training.epochs=1")
    assert read_tree(Path("checkpoints/free/experiment.yaml"))["experiment"]["training"]["threads"] >= 1
    assert imagetune("train", path, "training.epochs=1", "--resume").code == 0
    outcome = imagetune("train", path, "training.epochs=1", "training.threads=77", "--resume")
    assert outcome.code == 2
    assert "training.threads: " in outcome.err


def bad_inputs(tmp_path: Path) -> dict[str, tuple[list[str], str]]:
    tiny = str(written(tmp_path))
    broken = str(written(tmp_path, "data: {name: [", "broken.yaml"))
    unknown = str(written(tmp_path, EXPERIMENT + "sede: 3\n", "unknown.yaml"))
    return {
        "unknown key": ([unknown], "sede: unknown section; did you mean seed?"),
        "unknown field": ([tiny, "training.optimizer.lrr=1"], "did you mean lr?"),
        "wrong type": ([tiny, "training.epochs=many"], "training.epochs"),
        "unknown model": ([tiny, "model.name=simple_cn"], "did you mean simple_cnn?"),
        "unknown data set": ([tiny, "data.name=cifar1O"], "did you mean cifar10?"),
        "unknown space": (["digts"], "did you mean digits?"),
        "impossible plan": ([tiny, "model={name: classifier, cnn_layers: 9}"], "cnn_layers"),
        "batch above the set": ([tiny, "training.batch_size=301"], "training.batch_size"),
        "missing file": (["nowhere.yaml"], "'nowhere.yaml' does not exist"),
        "not YAML": ([broken], "cannot be read as YAML"),
        "no equals sign": ([tiny, "training.epochs"], "write dotted.name=value"),
        "free fields": (["digits"], "has searched fields"),
        "bad name": ([tiny, "--name", "a/b"], "'a/b' cannot be used as a name"),
        "no name": ([tiny, "--name", ""], "'' cannot be used as a name: it is empty"),
        "too many epochs": ([tiny, f"training.epochs={10**23}"], "training.epochs: must be at most 1000000"),
        "too few steps to rise": (
            [tiny, "training={epochs: 1, batch_size: 300, schedule: {name: onecycle}}"],
            "training.schedule.pct_start: must leave at least one of 1 step to the rise",
        ),
        "no step to rise": ([tiny, "training={epochs: 2, batch_size: 300, schedule: {name: onecycle}}"], "(got 0.3)"),
        "nothing to resume": ([tiny, "--resume"], "'tiny' is not a run"),
        "no such weights": ([tiny, "--weights", "none"], "'none' is not a run"),
        "two sources": ([tiny, "--weights", "none", "--resume"], "--weights"),
        "a URL": ([tiny, "--out", "gs://bucket/x"], "gs://bucket/x"),
    }


CASES = (
    "unknown key", "unknown field", "wrong type", "unknown model", "unknown data set", "unknown space",
    "impossible plan", "batch above the set", "missing file", "not YAML", "no equals sign", "free fields", "bad name",
    "no name", "too many epochs", "too few steps to rise", "no step to rise", "nothing to resume", "no such weights",
    "two sources", "a URL",
)  # fmt: skip


def test_every_case_is_tried(tmp_path: Path) -> None:
    assert set(bad_inputs(tmp_path)) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_exits_with_2_and_writes_nothing(imagetune: Command, tmp_path: Path, case: str) -> None:
    words, line = bad_inputs(tmp_path)[case]
    before = sorted(tmp_path.rglob("*"))
    outcome = imagetune("train", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert line in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


def test_all_problems_are_named_at_once(imagetune: Command, tiny: Path) -> None:
    outcome = imagetune("train", tiny, "training.epochs=many", "data.name=x", "model.conv=3")
    assert len(outcome.err.splitlines()) == 3


def test_an_existing_name_is_refused_and_left_alone(imagetune: Command, tiny: Path) -> None:
    imagetune("train", tiny, "training.epochs=1")
    before = Path("checkpoints/tiny/last.pt").read_bytes()
    outcome = imagetune("train", tiny)
    assert outcome.code == 2
    assert "checkpoints/tiny already exists; use --resume" in outcome.err
    assert Path("checkpoints/tiny/last.pt").read_bytes() == before


def test_a_search_is_no_place_for_a_run(imagetune: Command, tiny: Path, tmp_path: Path) -> None:
    search_folder(tmp_path / "checkpoints" / "tiny")
    outcome = imagetune("train", tiny)
    assert outcome.code == 2
    assert "already exists and is not a run" in outcome.err


def test_a_place_that_cannot_be_written_to(imagetune: Command, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = imagetune("train", tiny, "--out", tmp_path / "file")
    assert outcome.code == 2
    assert "Not a directory; use an --out" in outcome.err


def test_an_out_folder_that_is_not_utf8_is_refused(imagetune: Command, tiny: Path) -> None:
    out = os.fsdecode(b"caf\xe9")
    assert imagetune("train", tiny, "--out", out).code == 2
    assert not Path(out).exists()
    assert imagetune("train", tiny, "--out", "café", "training.epochs=1").code == 0


def test_a_finished_run_has_nothing_left_to_do(imagetune: Command, tiny: Path) -> None:
    imagetune("train", tiny)
    for words in ((tiny, "--resume"), ("tiny", "--resume"), (tiny, "--name", "tiny", "--resume")):
        outcome = imagetune("train", *words)
        assert outcome.code == 0
        assert "already finished" in outcome.out


def test_resume_refuses_another_experiment(imagetune: Command, tiny: Path) -> None:
    imagetune("train", tiny, "training.epochs=1")
    outcome = imagetune("train", "tiny", "--resume", "seed=3", "training.epochs=2")
    assert outcome.code == 2
    assert "training.epochs: " in outcome.err
    assert "seed: " in outcome.err


def test_weights_of_another_run(imagetune: Command, tiny: Path) -> None:
    imagetune("train", tiny, "--name", "first")
    imagetune("train", tiny, "--name", "second", "--weights", "first", "training.epochs=1")
    first, second = epochs(Path("checkpoints/first")), epochs(Path("checkpoints/second"))
    assert second["train_loss"][0] < first["train_loss"][0] - 0.1
    assert read_tree(Path("checkpoints/second/experiment.yaml"))["made_with"]["weights_from"] == "checkpoints/first"


def test_weights_of_another_shape_are_refused(imagetune: Command, tiny: Path) -> None:
    imagetune("train", tiny, "--name", "first", "training.epochs=1")
    outcome = imagetune("train", tiny, "--name", "second", "--weights", "first", "model.hidden_dim=17")
    assert outcome.code == 2
    assert "does not fit this simple_cnn" in outcome.err
    assert "(16," in outcome.err
    assert "(17," in outcome.err
    assert not Path("checkpoints/second").exists()


def test_a_diverged_training_fails(imagetune: Command, tiny: Path) -> None:
    outcome = imagetune("train", tiny, "training.optimizer={name: sgd, lr: 1e38}", "--json")
    assert outcome.code == 1
    assert "checkpoints/tiny: diverged in epoch 1" in outcome.err
    assert outcome.document["end"] == "diverged"


def test_a_folder_of_images_with_unicode_and_spaces_end_to_end(imagetune: Command, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "meine Bilder ü", ["röt $x$", "grün 1", "蓝"])
    folder = f"data={{name: folder, path: '{images.name}', image_size: 8, validation_fraction: 0.2}}"
    words = (folder, "training.batch_size=8", "training.epochs=6", "--out", "aus gabe é", "--name", "läuft")
    row = imagetune("train", written(tmp_path), *words, "--json").document
    assert row["val_accuracy"] > 0.6
    outcome = imagetune("evaluate", "läuft", "--out", "aus gabe é", "--predictions", "1x3", "--json")
    scores = outcome.document
    assert [row["name"] for row in scores["per_class"]] == ["grün 1", "röt $x$", "蓝"]
    assert scores["n"] == 7
    assert scores["top5_accuracy"] is None
    assert (tmp_path / "aus gabe é" / "läuft" / "figures" / "predictions.png").is_file()


def test_a_signal_leaves_what_is_done_and_resume_comes_to_the_same(imagetune: Command, tmp_path: Path) -> None:
    tiny = written(tmp_path, EXPERIMENT.replace("epochs: 3", "epochs: 40"))
    environment: dict[str, Any] = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tune", "train", str(tiny), "--name", "stopped"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 3/"):
                process.send_signal(signal.SIGTERM)
                break
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-2].endswith("of 40 epochs saved")
    assert said.splitlines()[-1] == "continue with: imagetune train stopped --resume"
    stopped = Path("checkpoints/stopped")
    done = len(epochs(stopped))
    assert 3 <= done < 40
    assert not list(stopped.glob("*.partial"))
    # The rest is trained here, in another process.
    assert imagetune("train", "stopped", "--resume").code == 0
    assert imagetune("train", tiny, "--name", "whole").code == 0
    assert epochs(stopped).equals(epochs(Path("checkpoints/whole")))
    assert (stopped / "model.safetensors").read_bytes() == Path("checkpoints/whole/model.safetensors").read_bytes()
    assert f"resuming after epoch {done}" in (stopped / "train.log").read_text()


def seen(written: str) -> list[str]:
    """The lines of a terminal to which this was written; the last is where the cursor is."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[\??\d*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", written):
        if token == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif token == "\x1b[1A":
            row -= 1
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token != "\r" and not token.startswith("\x1b"):
            lines[row] += token
    return lines[: row + 1]


def test_ctrl_c_takes_the_bar_away(imagetune: Command, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal: the lines that follow begin on a line of their own, and nothing of the bar is left."""
    step = Screen.step

    def interrupted(screen: Screen, number: int, steps: int, lr: float) -> None:
        step(screen, number, steps, lr)
        assert screen._bar is not None
        screen._bar.progress.refresh()
        if screen._bar.epochs_done == 1 and number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Screen, "step", interrupted)
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "80")):
        monkeypatch.setenv(name, value)
    outcome = imagetune("train", tiny)
    assert outcome.code == 130
    assert "━" in outcome.err
    *lines, cursor = seen(outcome.err)
    assert [line.partition("  ")[0] for line in lines[-3:]] == [
        "epoch 1/3",
        "checkpoints/tiny: interrupted; 1 of 3 epochs saved",
        "continue with: imagetune train tiny --resume",
    ]
    assert cursor == ""
    assert not any("━" in line for line in lines)
    assert outcome.err.rindex("\x1b[?25h") > outcome.err.rindex("\x1b[?25l")
