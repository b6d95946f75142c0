"""`reproduce dtypes` as a user meets it."""

from __future__ import annotations

import csv
import importlib.util
from dataclasses import replace
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import EXPERIMENT, written
from tune.evaluation.timing import measure_latency
from tune.reproduce import dtypes
from tune.reproduce.dtypes_table import ROWS
from tune.reproduce.subprocess_training import train_here

PLACE = Path("checkpoints/reproduce/dtypes")


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows on the bundled digits, trained in this process."""
    tiny = str(written(tmp_path, EXPERIMENT.replace("epochs: 3", "epochs: 1")))
    two = {name: replace(ROWS[name], experiment=tiny) for name in ("float32", "onnx_int8")}
    monkeypatch.setattr("tune.reproduce.dtypes_table.ROWS", two)
    monkeypatch.setattr(
        dtypes, "train_in_subprocess", lambda plan, images, root, screen: train_here(plan, images, root, screen.say)
    )
    monkeypatch.setattr(dtypes, "measure_latency", partial(measure_latency, seconds=0.0))
    monkeypatch.setattr("tune.training.prepare_process", lambda: None)


def test_the_list_trains_nothing(imagetune: Command) -> None:
    rows = imagetune("reproduce", "dtypes", "--list", "--json").document["rows"]
    assert [(row["row"], row["status"]) for row in rows] == [(name, "not run") for name in ROWS]
    outcome = imagetune("reproduce", "dtypes", "--list")
    assert outcome.out.count("not run") == len(ROWS)
    first = [line.split()[0] for line in outcome.out.splitlines() if line.strip()]
    assert [first.count(name) for name in ROWS] == [2] * len(ROWS)  # none cut short
    assert not Path("checkpoints").exists()


@pytest.mark.usefixtures("stand_ins")
def test_one_command_gives_one_table_and_one_figure(imagetune: Command) -> None:
    outcome = imagetune("reproduce", "dtypes")
    assert outcome.code == 0
    with (PLACE / "dtypes.csv").open(newline="", encoding="utf-8") as file:
        lines = {row["row"]: row for row in csv.DictReader(file)}
    assert list(lines) == ["float32", "onnx_int8"]
    for line in lines.values():
        assert line["status"] == "measured"
        assert f"{100 * float(line['accuracy_mean']):.2f} %" in outcome.out
    assert (PLACE / "dtypes.png").read_bytes().startswith(b"\x89PNG")
    assert f"wrote {PLACE / 'dtypes.csv'}\nwrote {PLACE / 'dtypes.png'}\n" in outcome.err
    # Again: nothing is measured twice, and the figure lies beside the table wherever that is.
    before = lines["onnx_int8"]["batch_ms"]
    rows = imagetune("reproduce", "dtypes", "--csv", "b/mine.csv", "--json").document["rows"]
    assert [row["batch_ms"] for row in rows][1] == float(before)
    assert {path.name for path in Path("b").iterdir()} == {"mine.csv", "mine.png"}


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["mnist_mlr"], "remove mnist_mlr"),
        (["--csv", "mine.png"], "--csv mine.png"),
        (["--csv", "."], "--csv . is a folder"),
        (["--precision", "bfloat16"], "remove --precision bfloat16"),
    ],
)
def test_bad_input_writes_nothing(imagetune: Command, words: list[str], line: str) -> None:
    outcome = imagetune("reproduce", "dtypes", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert line in outcome.err
    assert not Path("checkpoints").exists()


def test_a_missing_package_is_said_before_the_first_training(
    imagetune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "onnxruntime" else find(name, package)

    monkeypatch.setattr("tune.export.onnx_model.find_spec", without)
    outcome = imagetune("reproduce", "dtypes")
    assert outcome.code == 2
    assert "not installed: onnxruntime" in outcome.err
    assert "pip install" in outcome.err
    assert not Path("checkpoints").exists()
