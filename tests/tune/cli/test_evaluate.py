"""`evaluate` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import written

KEYS = [
    "split", "n", "loss", "accuracy", "macro_f1", "top5_accuracy", "expected_calibration_error", "per_class",
    "confusion",
]  # fmt: skip


@pytest.fixture
def run(imagetune: Command, tmp_path: Path) -> Path:
    imagetune("train", written(tmp_path), "--name", "run")
    return Path("checkpoints/run")


def test_json_is_the_file(imagetune: Command, run: Path) -> None:
    outcome = imagetune("evaluate", "run", "--json")
    assert outcome.out == (run / "evaluation.json").read_text(encoding="utf-8")
    assert list(outcome.document) == KEYS
    assert outcome.document["split"] == "test"
    assert outcome.document["n"] == 359
    assert list(outcome.document["per_class"][0]) == ["name", "n", "accuracy", "precision", "recall", "f1"]
    assert (run / "predictions.parquet").is_file()
    assert (run / "figures" / "confusion.png").is_file()


def test_the_table_and_a_run_by_its_path(imagetune: Command, run: Path) -> None:
    out = imagetune("evaluate", run).out
    assert "test, 359 images: accuracy" in out
    assert max(map(len, out.splitlines())) <= 80


def test_other_splits_leave_the_test_figures_alone(imagetune: Command, run: Path) -> None:
    test = imagetune("evaluate", "run", "--json").document
    validation = imagetune("evaluate", "run", "--split", "validation", "--json").document
    assert validation["n"] == 144
    assert imagetune("evaluate", "run", "--split", "train", "--json").document["n"] == 300
    assert json.loads((run / "evaluation.json").read_text()) == test
    assert json.loads((run / "evaluation-validation.json").read_text()) == validation


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rn"], "'rn' is not a run"),
        (["run", "--split", "dev"], "dev"),
        (["run", "--predictions", "4"], "--predictions"),
        (["run", "--predictions", "0x4"], "ROWSxCOLS"),
        (["run", "--predictions", "4x8x2"], "ROWSxCOLS"),
        (["run", "--predictions", "40x40"], "a grid of 40 x 40 is more than the 359 images"),
    ],
)
def test_refusals(imagetune: Command, run: Path, words: list[str], line: str) -> None:
    outcome = imagetune("evaluate", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert line in outcome.err
    assert not (run / "evaluation.json").exists()


def test_damaged_weights_are_named(imagetune: Command, run: Path) -> None:
    (run / "model.safetensors").write_bytes(b"nothing")
    outcome = imagetune("evaluate", "run")
    assert outcome.code == 1
    assert "model.safetensors: the checkpoint is damaged" in outcome.err
    (run / "model.safetensors").unlink()
    outcome = imagetune("evaluate", "run")
    assert outcome.code == 2
    assert "no epoch is finished yet" in outcome.err
