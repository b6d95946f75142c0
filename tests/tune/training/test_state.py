"""Which states a training continues from: its own, also those of earlier versions, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tune.spec.experiment import Experiment
from tune.spec.metric import METRICS, Objective
from tune.training import CheckpointError, Training, load, open_splits, save, train
from tune.training.state import fingerprint

from .conftest import Make, Start

CPU = torch.device("cpu")
BEFORE = Path(__file__).with_name("state_of_mnist_mlr_without_data.pt")
"""Written after one epoch by the version that first had format 2."""


def pictures(folder: Path, shade: int = 0) -> Path:
    """Two classes of ten one-coloured images."""
    for label in ("dark", "light"):
        (folder / label).mkdir(parents=True)
        for k in range(10):
            Image.new("L", (8, 8), shade + k + 100 * (label == "light")).save(folder / label / f"{k}.png")
    return folder


def training_on(path: Path, tmp_path: Path, **fields: Any) -> Training:
    tree = {
        "data": {"name": "folder", "path": str(path), "image_size": 8, "validation_fraction": 0.2},
        "model": {"name": "mnist_mlr"},
        "training": {"epochs": 2, "batch_size": 4, **fields},
    }
    experiment = Experiment.model_validate(tree)
    return Training(experiment, open_splits(experiment.data, tmp_path / "root", CPU), device=CPU)


def as_written_before(training: Training) -> dict[str, Any]:
    """The state as written by versions that had no data identity and whose fingerprint counted the path."""
    state = training.state()
    del state["data"]
    return {**state, "experiment": fingerprint(training.experiment, with_path=True)}


def refusal(training: Training, state: dict[str, Any]) -> str:
    """The text with which a state is refused; the training stays as it is."""
    before = repr(training.state())
    with pytest.raises(CheckpointError) as caught:
        training.load(state)
    assert repr(training.state()) == before
    return str(caught.value)


def test_fingerprints_are_those_of_earlier_versions(make: Make) -> None:
    folder = {"name": "folder", "path": "/data/pictures", "image_size": 8}
    tree = {"data": folder, "model": {"name": "tiny_vgg"}, "training": {"batch_size": 16}}
    experiment = Experiment.model_validate(tree)
    assert fingerprint(experiment, with_path=True) == "2d795ed11884cdee"
    digits = make(data={"train_limit": 40}, epochs=2)
    assert (
        fingerprint(digits) == fingerprint(digits, with_path=True) == load(BEFORE)["experiment"] == "4ca0a5e47f197cf0"
    )
    without_threads = {**tree, "training": {"batch_size": 16, "threads": None}}  # as they wrote it
    assert fingerprint(Experiment.model_validate(without_threads)) == fingerprint(experiment)
    moved = Experiment.model_validate({**tree, "data": {**folder, "path": "/elsewhere"}})
    assert fingerprint(moved) == fingerprint(experiment)
    assert fingerprint(moved, with_path=True) != fingerprint(experiment, with_path=True)


def test_a_checkpoint_of_the_version_before_is_continued(start: Start) -> None:
    fields: dict[str, Any] = {"data": {"train_limit": 40}, "epochs": 2}
    training, whole = start(**fields), start(**fields)
    training.load(load(BEFORE))
    assert [metrics.epoch for metrics in training.history] == [1]
    train(training)
    train(whole)
    assert training.history[1].values == pytest.approx(whole.history[1].values, abs=1e-6)  # another machine wrote it
    assert training.state()["data"] == training.splits.identity.digest


def test_moved_images_are_the_same_and_other_images_are_not(tmp_path: Path) -> None:
    here, there = pictures(tmp_path / "here"), pictures(tmp_path / "there")
    first = training_on(here, tmp_path)
    first.run_epoch()
    training_on(there, tmp_path).load(first.state())
    other = refusal(training_on(pictures(tmp_path / "others", shade=7), tmp_path), first.state())
    assert other.startswith("the checkpoint was trained on other images")
    (there / "light").rename(there / "bright")
    assert refusal(training_on(there, tmp_path), first.state()) == other.replace(
        training_on(tmp_path / "others", tmp_path).splits.identity.digest,
        training_on(there, tmp_path).splits.identity.digest,
    )


def test_a_state_without_data_is_continued_in_its_place_and_refused_elsewhere(tmp_path: Path) -> None:
    here, there = pictures(tmp_path / "here"), pictures(tmp_path / "there")
    first = training_on(here, tmp_path)
    first.run_epoch()
    training_on(here, tmp_path).load(as_written_before(first))
    told = refusal(training_on(there, tmp_path), as_written_before(first))
    assert "another experiment" in told
    assert "old data.path" in told
    assert "another experiment" in refusal(training_on(here, tmp_path, batch_size=5), as_written_before(first))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"seed": 1}, "another experiment"),
        ({"optimizer": {"lr": 0.5}}, "another experiment"),
        ({"options": {"objective": Objective(METRICS["val_accuracy"])}}, "another metric"),
    ],
)
def test_a_state_of_another_training_is_refused(start: Start, other: dict[str, Any], words: str) -> None:
    assert words in refusal(start(**other), start().state())


@pytest.mark.parametrize(
    ("key", "words"),
    [("format", "format 'x'"), ("data", "other images"), ("split", "another split"), ("metric", "another metric")],
)
def test_what_differs_is_said(start: Start, key: str, words: str) -> None:
    training = start()
    assert words in refusal(training, {**training.state(), key: "x"})


def test_a_state_that_does_not_fit_the_model_is_refused(start: Start) -> None:
    training = start(averaging={"name": "ema"})
    training.run_epoch()
    state = training.state()
    keys = ("model", "optimizer", "scaler", "schedule", "averaging", "history")
    for key in keys:
        wrong = [{}, [], None, 3, "x", {"x": 1}, [[1]], [{"epoch": "x"}]]
        for value in wrong if key != "scaler" else []:
            if key in ("averaging", "schedule", "history") and value in ({}, []):
                continue
            assert "does not fit mnist_mlr" in refusal(training, {**state, key: value}), (key, value)
        assert "does not fit mnist_mlr" in refusal(training, {k: v for k, v in state.items() if k != key}), key


def test_splits_say_what_their_images_are(tmp_path: Path, start: Start) -> None:
    here = pictures(tmp_path / "here")
    splits = training_on(here, tmp_path).splits
    assert (len(splits.identity.train_labels) + len(splits.identity.test_labels), splits.identity.classes) == (
        20,
        ("dark", "light"),
    )
    assert start().state()["data"] == start().splits.identity.digest
    training = training_on(here, tmp_path)
    training.splits = replace(splits, identity=start().splits.identity)
    assert training.state()["data"] != splits.identity.digest
    save(tmp_path / "x.pt", training.state())
    assert load(tmp_path / "x.pt")["data"] == training.splits.identity.digest
