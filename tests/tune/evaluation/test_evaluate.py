"""Evaluation against what it wrote, against training's own numbers, and against changed images."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import data
from tests.tune.runs.folders import image_folder, trained
from tune.evaluation import classification, figures
from tune.evaluation.classification import Classifier
from tune.evaluation.evaluate import SplitName, evaluate
from tune.evaluation.result import Extras
from tune.record import RunFolder
from tune.runs.run import RunResult
from tune.runs.weights import TrainedRun
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
    assert table["loss"].mean() == pytest.approx(scores["loss"])
    low, high = scores["accuracy_interval"]
    assert low < scores["accuracy"] < high
    assert (scores["split"], scores["epoch"]) == ("test", done.best and done.best.epoch)
    assert scores["calibration"]["fitted_on"] == 144
    after = scores["calibration"]["after"]
    assert after["loss"] < scores["loss"]
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
    assert [path.name for path in before.files] == [
        "predictions-validation.parquet", "evaluation-validation.json", "confusion-validation.png",
        "calibration-validation.png", "confused_pairs-validation.png",
    ]  # fmt: skip
    for path in before.files:
        path.unlink()
    lines: list[str] = []
    monkeypatch.setattr(figures, "confusion", lambda *words: 1 / 0)
    found = evaluate(done.folder, "validation", tmp_path, lines.append)
    assert found.files == tuple(path for path in before.files if path.name != "confusion-validation.png")
    assert json.loads(found.files[1].read_text()) == before.scores
    assert [line for line in lines if "confusion.png" in line]


@pytest.mark.usefixtures("drawn")
def test_the_same_bytes_a_second_time_although_the_pooling_is_random(tmp_path: Path) -> None:
    model = "model={name: classifier, cnn_layers: 3, starting_channels: 4, final_channels: 8, fcn_layers: 1}"
    result = trained(tmp_path, model, "training.epochs=1")
    extras = Extras((2, 3), (2, 3), corruptions=True)

    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in evaluate(result.folder, "test", tmp_path, say, extras).files}

    first = contents()
    assert len(first) == 9
    torch.rand(3)
    assert contents() == first


def test_the_normalization_is_the_recorded_one(tmp_path: Path) -> None:
    result = trained(tmp_path, "data.normalize=dataset")
    before = evaluate(result.folder, "test", tmp_path, say).scores
    text = result.folder.experiment.read_text()
    result.folder.experiment.write_text(text.replace("normalize: dataset", "normalize: half"))
    assert evaluate(result.folder, "test", tmp_path, say).scores == before


def test_predictions_point_at_the_images(done: RunResult, tmp_path: Path) -> None:
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


def test_the_temperature_minimizes_the_validation_loss(done: RunResult, tmp_path: Path) -> None:
    found = evaluate(done.folder, "validation", tmp_path, say).scores["calibration"]
    assert found["fitted_on"] == 144
    assert found["after"]["loss"] < found["before"]["loss"]
    assert evaluate(done.folder, "test", tmp_path, say).scores["calibration"]["temperature"] == found["temperature"]


def test_without_validation_images_there_is_no_temperature(tmp_path: Path) -> None:
    result = trained(tmp_path, "data.validation_fraction=0", "training.epochs=1")
    found = evaluate(result.folder, "test", tmp_path, say).scores["calibration"]
    assert (found["temperature"], found["fitted_on"], found["after"]) == (None, 0, None)
    assert found["before"]["bins"]


def test_what_cannot_be_written_costs_no_numbers(
    done: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    before = evaluate(done.folder, "test", tmp_path, say)
    monkeypatch.setattr("tune.evaluation.files.write_whole", refuse)
    found = evaluate(done.folder, "test", tmp_path, say, Extras(corruptions=True))
    assert (found.scores, found.files) == (before.scores, ())
    assert isinstance(found.unsaved, OSError)
    assert found.corruptions is not None


def test_mistakes_of_a_perfect_model(done: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def perfect(run: TrainedRun) -> Classifier:
        labels = iter(data.load_test(data.Source("digits"), tmp_path).labels.tolist())
        return lambda images: torch.eye(10)[[next(labels) for _ in images]]

    monkeypatch.setattr(classification, "classifier_of", perfect)
    monkeypatch.setattr(classification, "fit_temperature", lambda batches: None)
    lines: list[str] = []
    found = evaluate(done.folder, "test", tmp_path, lines.append, Extras(mistakes=(2, 4)))
    assert found.scores["accuracy"] == 1.0
    assert found.scores["most_confused"] == []
    assert lines == ["there are no mistakes to draw"]
    assert [path.name for path in found.files[2:]] == ["confusion.png", "calibration.png"]


@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_predictions_name_the_files_of_the_users_images(tmp_path: Path, split: SplitName) -> None:
    root = image_folder(tmp_path / "my images ü")
    (root / "blue" / "3.png").write_bytes(b"damaged")
    own = f"data={{name: folder, path: '{root}', image_size: 8, validation_fraction: 0.25, skip_unreadable: true}}"
    result = trained(tmp_path, own, "training.epochs=1", "training.batch_size=8")
    found = evaluate(result.folder, split, tmp_path, say)
    table = pd.read_parquet(found.files[0])
    assert (table["file"].str.partition("/")[0] == table["label_name"]).all()
    part = (data.load_test if split == "test" else data.load_train)(result_source(root), tmp_path)
    for index, file in table[["index", "file"]].itertuples(index=False):
        whole = data.read_images([root / file], (3, 8, 8))
        assert torch.equal(whole[0], part.images[index])


def result_source(root: Path) -> data.Source:
    return data.Source("folder", str(root), 8, skip_unreadable=True)
