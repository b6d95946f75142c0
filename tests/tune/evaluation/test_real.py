"""A published data set, where IMAGETUNE_DATA names a folder that has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tune.runs.folders import Quiet, written
from tune.evaluation.evaluate import evaluate
from tune.evaluation.result import Extras
from tune.record import RunFolder
from tune.runs.plan import RunPlan
from tune.runs.run import run
from tune.spec import load_experiment

ROOT = Path(os.environ.get("IMAGETUNE_DATA", "/nowhere"))
EXPERIMENT = """
data: {name: mnist}
model: {name: mnist_mlr}
training: {epochs: 2, batch_size: 256, optimizer: {lr: 0.005}}
"""


@pytest.mark.skipif(not (ROOT / "MNIST").is_dir(), reason="IMAGETUNE_DATA names no folder with MNIST")
def test_a_linear_model_on_mnist(tmp_path: Path) -> None:
    experiment = load_experiment(str(written(tmp_path, EXPERIMENT)), root=ROOT)
    result = run(RunPlan(experiment, RunFolder(tmp_path / "mnist")), ROOT, Quiet())
    scores = evaluate(result.folder, "test", ROOT, print, Extras((2, 5))).scores
    assert scores["n"] == 10_000
    assert scores["accuracy"] > 0.9
    assert scores["expected_calibration_error"] < 0.05
