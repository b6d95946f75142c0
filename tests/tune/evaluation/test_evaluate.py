"""Evaluation against what it wrote, against training's own numbers, and against changed images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from tests.tune.runs.folders import trained
from tune.evaluation import figures
from tune.evaluation.evaluate import evaluate
from tune.record import RunFolder
from tune.runs.run import RunResult
from tune.spec import SpecError


def say(text: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return trained(tmp_path_factory.mktemp("evaluate"))


def test_scores_follow_from_the_predictions(done: RunResult, tmp_path: Path) -> None:
    scores = evaluate(done.folder, "test", tmp_path, say).scores
    table = pd.read_parquet(done.folder.predictions)
    label, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    assert table["index"].tolist() == list(range(359))
    assert scores["accuracy"] == (label == predicted).mean()
    assert scores["loss"] == pytest.approx(-np.log(table["label_probability"]).mean())
    assert scores["confusion"] == confusion_matrix(label, predicted, labels=range(10)).tolist()
    precision, recall, f1, n = precision_recall_fscore_support(label, predicted, labels=range(10), zero_division=0)
    for row, *expected in zip(scores["per_class"], n, recall, precision, recall, f1, strict=True):
        assert [row[key] for key in ("n", "accuracy", "precision", "recall", "f1")] == pytest.approx(expected)
    assert scores["macro_f1"] == pytest.approx(f1.mean())
    right = (label == predicted).astype(float)
    bins = np.ceil(table["probability"] * 15)
    gaps = (right - table["probability"]).groupby(bins).sum().abs().sum() / len(table)
    assert scores["expected_calibration_error"] == pytest.approx(gaps)
    assert table["label_name"].tolist() == [str(value) for value in label]
    assert json.loads(done.folder.evaluation.read_text())["accuracy"] == scores["accuracy"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_validation_scores_are_those_of_the_best_epoch(tmp_path: Path, precision: str) -> None:
    result = trained(tmp_path, f"training.precision={precision}", "data.normalize=dataset", "training.epochs=4")
    assert result.best is not None
    scores = evaluate(result.folder, "validation", tmp_path, say).scores
    assert scores["accuracy"] == pytest.approx(result.best.values["val_accuracy"])
    assert scores["loss"] == pytest.approx(result.best.values["val_loss"], rel=1e-5 if precision == "float32" else 1e-2)


def test_a_figure_that_fails_costs_no_numbers(done: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = evaluate(done.folder, "validation", tmp_path, say)
    for path in before.files:
        path.unlink()
    lines: list[str] = []
    monkeypatch.setattr(figures, "confusion", lambda *words: 1 / 0)
    found = evaluate(done.folder, "validation", tmp_path, lines.append)
    assert found.files == before.files[:2]
    assert json.loads(found.files[1].read_text()) == before.scores
    assert "confusion.png" in lines[-1]


def test_it_is_repeatable_although_the_pooling_is_random(tmp_path: Path) -> None:
    model = "model={name: classifier, cnn_layers: 3, starting_channels: 4, final_channels: 8, fcn_layers: 1}"
    result = trained(tmp_path, model, "training.epochs=1")
    first = evaluate(result.folder, "test", tmp_path, say).scores
    assert evaluate(result.folder, "test", tmp_path, say).scores == first


def test_the_normalization_is_the_recorded_one(tmp_path: Path) -> None:
    result = trained(tmp_path, "data.normalize=dataset")
    before = evaluate(result.folder, "test", tmp_path, say).scores
    text = result.folder.experiment.read_text()
    result.folder.experiment.write_text(text.replace("normalize: dataset", "normalize: half"))
    assert evaluate(result.folder, "test", tmp_path, say).scores == before


def test_predictions_point_at_the_images(done: RunResult, tmp_path: Path) -> None:
    import data

    evaluate(done.folder, "validation", tmp_path, say)
    table = pd.read_parquet(done.folder.path / "predictions-validation.parquet")
    images = data.load_train(data.Source("digits"), tmp_path)
    assert torch.equal(images.labels[table["index"].tolist()], torch.tensor(table["label"].tolist()))


def test_a_damaged_description_is_named(done: RunResult, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "copy")
    shutil.copytree(done.folder.path, folder.path)
    text = folder.experiment.read_text()
    folder.experiment.write_text(text.replace("metric: val_loss", "metric: [1]").replace("seed: 0", "seed: x"))
    with pytest.raises(SpecError, match="seed: must be a whole number"):
        evaluate(folder, "test", tmp_path, say)
    folder.experiment.write_text(text.partition("made_with")[0])
    with pytest.raises(SpecError, match="made_with"):
        evaluate(folder, "test", tmp_path, say)
