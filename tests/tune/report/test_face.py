"""`load_search` and `load_run`: what a notebook sees of a real search and a real run, without Ray."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import models
from tests.tune.runs.folders import Quiet, plan, search_folder
from tune import load_run, load_search
from tune.errors import UserError
from tune.evaluation.evaluate import evaluate
from tune.report import face
from tune.runs.run import run
from tune.training import save_weights


def test_the_trials_of_a_search(tmp_path: Path) -> None:
    search_folder(tmp_path / "digits")
    search = load_search("digits", out=tmp_path)
    assert search.trials["trial"].tolist() == [3, 2, 0, 1, 4]
    assert search.best(2)["val_loss"].tolist() == [0.1, 0.3]
    assert search.best(9)["trial"].tolist() == [3, 2, 0, 1]
    assert search.trials.dtypes[["trial", "epochs", "parameters", "best_epoch"]].astype(str).tolist() == [
        "int64", "int64", "Int64", "Int64",
    ]  # fmt: skip
    assert list(search.epochs.columns[:3]) == ["trial", "epoch", "train_loss"]
    assert len(search.epochs) == 3 + 1 + 3 + 2
    assert set(search.importances().index) <= set(search.fields)
    assert search.experiment(2).training.optimizer.lr == 0.01
    assert repr(search) == "<search digits: 5 trials, not running>"
    assert load_search(tmp_path / "digits").metric == "val_loss"


def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    search = load_search(search_folder(tmp_path / "digits").path)
    with pytest.raises(UserError, match="no trial 7"):
        search.experiment(7)
    with pytest.raises(UserError, match="weights of trial 2 are not kept"):
        search.model(2)
    with pytest.raises(UserError):
        load_search("elsewhere", out=tmp_path)
    with pytest.raises(UserError):
        load_run("elsewhere", out=tmp_path)


def examples_that_fail(of: type, **names: object) -> int:
    """How many examples in a class's docstring fail; there is at least one."""
    (found,) = doctest.DocTestFinder(recurse=False).find(of, globs=names)
    assert found.examples
    return doctest.DocTestRunner().run(found).failed


def test_a_trials_model_has_its_best_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = search_folder(tmp_path / "checkpoints" / "digits")
    spec = load_search("digits").experiment(3).model
    network = models.build(spec.name, (1, 8, 8), 10, **spec.options())
    folder.trial(3).mkdir()
    save_weights(folder.best(3), network.state_dict(), {"trial": "3", "epoch": "1", "metric": "val_loss"})
    found = load_search("digits").model(3)
    images = torch.rand(4, 1, 8, 8)
    assert torch.equal(found(images), network.eval()(images))
    assert examples_that_fail(face.SearchResults, load_search=load_search) == 0


def test_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = plan(tmp_path)
    run(made, tmp_path, Quiet())
    found = load_run(made.folder.path)
    assert found.epochs["epoch"].tolist() == [1, 2, 3]
    with pytest.raises(UserError, match="has not been evaluated"):
        _ = found.evaluation
    evaluate(made.folder, "test", tmp_path, print)
    found = load_run("run", out=tmp_path / "out")
    assert found.evaluation["n"] == len(found.predictions) == 359
    assert isinstance(found.predictions, pd.DataFrame)
    right = (found.predictions["predicted"] == found.predictions["label"]).mean()
    assert right == pytest.approx(found.evaluation["accuracy"])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "first").symlink_to(made.folder.path)
    assert examples_that_fail(face.RunResults, load_run=load_run) == 0


def test_no_ray_is_needed() -> None:
    code = "import sys, tune; tune.load_search; print('ray' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
