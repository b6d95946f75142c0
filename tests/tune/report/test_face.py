"""`load_search` and `load_run`: what a notebook sees of a real search and a real run, without Ray."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import data
import models
from tests.tune.runs.folders import SPACE, Quiet, curve, image_folder, plan, search_folder, written
from tune import load_run, load_search
from tune.errors import UserError
from tune.evaluation.evaluate import evaluate
from tune.record import Record, SearchFolder
from tune.record.opening import drive_search
from tune.record.search_yaml import write_spec
from tune.record.storage.url import study_url
from tune.report import face, run_results
from tune.runs.run import run
from tune.spec import load_search as read_space
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
    assert search.budget_correlation()["trials"].tolist() == [4]  # three or more reached the first epoch only
    assert search.winners == []


CONDITIONAL = SPACE.replace(
    "  training.optimizer.lr:",
    "  training.optimizer.name: {choice: [adam, sgd]}\n"
    "  training.optimizer.nesterov: {choice: [true, false], when: {training.optimizer.name: sgd}}\n"
    "  training.optimizer.momentum: {float: [0.8, 0.9], when: {training.optimizer.name: sgd}}\n"
    "  training.batch_size: {int: [8, 64], when: {training.optimizer.name: sgd}}\n"
    "  training.clip_norm: {choice: [0.5, 1], when: {training.optimizer.name: adam}}\n"
    "  training.optimizer.lr:",
)


def test_names_in_the_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(search_folder(tmp_path / "digits").path)
    assert repr(load_search(".")) == "<search digits: 5 trials, not running>"


def test_every_column_has_a_type_whatever_is_missing(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "mixed")
    spec = read_space(str(written(tmp_path, CONDITIONAL)))
    write_spec(folder, spec, {})
    record = Record.create(folder.journal, folder.name, spec.search.objective)
    shared = {"model.hidden_dim": 8, "training.optimizer.lr": 0.01}
    sgd = {"training.optimizer.name": "sgd", "training.optimizer.nesterov": True, "training.optimizer.momentum": 0.9}
    record.add(spec.space, {**shared, "training.optimizer.name": "adam", "training.clip_norm": 1}, {})
    record.add(spec.space, {**shared, **sgd, "training.batch_size": 16}, {})
    trials = load_search(folder.path).trials
    assert {name: str(trials[f"config.{name}"].dtype) for name in spec.space.domains} == {
        "model.hidden_dim": "Int64",
        "training.optimizer.name": str(pd.Series(["text"]).dtype),
        "training.optimizer.nesterov": "boolean",
        "training.optimizer.momentum": "Float64",
        "training.batch_size": "Int64",
        "training.clip_norm": "Int64",
        "training.optimizer.lr": "Float64",
    }
    assert trials["config.training.batch_size"].tolist() == [pd.NA, 16]


def test_a_search_that_runs_and_one_in_a_database(tmp_path: Path) -> None:
    spec = read_space(str(written(tmp_path, SPACE)))
    url = f"sqlite:///{tmp_path / 'record.db'}"
    folder = SearchFolder(tmp_path / "out" / "live", study_url(url))
    with drive_search(folder, spec, dict, print, resume=False) as driven:
        number = driven.record.add(spec.space, {"model.hidden_dim": 8, "training.optimizer.lr": 0.01}, {})
        driven.record.start(number)
        found = load_search("live", out=tmp_path / "out", study=url)
        assert repr(found) == "<search live: 1 trial, running>"
        assert found.epochs.empty
        driven.record.epoch(number, next(curve([0.5])))
        assert found.epochs.empty
        assert load_search("live", out=tmp_path / "out", study=url).epochs["val_loss"].tolist() == [0.5]
    with pytest.raises(UserError, match="use --study"):
        load_search("live", out=tmp_path / "out")


def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    search = load_search(search_folder(tmp_path / "digits").path)
    for number in (7, -1, 0.5):
        with pytest.raises(UserError, match=f"no trial {number}; it has trials 0 to 4"):
            search.experiment(number)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"kept: none\); run `imagetune retrain .*digits --trial 2`"):
        search.model(2)
    with pytest.raises(ValueError, match="at least 0"):
        search.best(-1)
    with pytest.raises(UserError):
        load_search("elsewhere", out=tmp_path)
    with pytest.raises(UserError):
        load_run("elsewhere", out=tmp_path)


def examples_that_fail(of: type, **names: object) -> int:
    """How many examples in a class's docstring fail; there is at least one."""
    (found,) = doctest.DocTestFinder(recurse=False).find(of, globs=names)
    assert found.examples
    return doctest.DocTestRunner().run(found).failed


def with_weights(folder: SearchFolder, trial: int, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Weights for a trial of a search, and their network."""
    spec = load_search(folder.path).experiment(trial).model
    network = models.build(spec.name, shape, classes, **spec.options())
    folder.trial(trial).mkdir()
    save_weights(folder.best(trial), network.state_dict(), {"trial": str(trial), "epoch": "1", "metric": "val_loss"})
    return network.eval()


def test_a_trials_model_has_its_best_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = search_folder(tmp_path / "checkpoints" / "digits")
    network = with_weights(folder, 3, (1, 8, 8), 10)
    images = torch.rand(4, 1, 8, 8)
    for number in (3, 3.0):
        found = load_search("digits").model(number)  # type: ignore[arg-type]
        assert torch.equal(found(images), network(images))
    assert examples_that_fail(face.SearchResults, load_search=load_search) == 0
    with pytest.raises(UserError, match=r"kept: 3\)"):
        load_search("digits").model(2)


@pytest.mark.parametrize("searched", [False, True])
def test_a_trials_model_needs_no_images(tmp_path: Path, searched: bool) -> None:
    """A search of another's images, which are not here; the image size may be one of its fields."""
    images = image_folder(tmp_path / "images")
    text = SPACE.replace("{name: digits, train_limit: 300}", f"{{name: folder, path: {images}, image_size: 16}}")
    if searched:
        text = text.replace("space:", "space:\n  data.image_size: {choice: [12, 16]}")
    folder = SearchFolder(tmp_path / "own")
    spec = read_space(str(written(tmp_path, text.replace("batch_size: 64", "batch_size: 4"))))
    write_spec(folder, spec, {"input_shape": [3, 16, 16], "classes": ["red", "green", "blue"]})
    record = Record.create(folder.journal, folder.name, spec.search.objective)
    config = {"model.hidden_dim": 8, "training.optimizer.lr": 0.01, **({"data.image_size": 12} if searched else {})}
    record.add(spec.space, config, {})
    shutil.rmtree(images)
    side = 12 if searched else 16
    network = with_weights(folder, 0, (3, side, side), 3)
    batch = torch.rand(2, 3, side, side)
    assert torch.equal(load_search(folder.path).model(0)(batch), network(batch))


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
    test = data.load_test(data.Source("digits"), tmp_path)
    assert torch.equal(found.images([5, 2]), test.images[[5, 2]])
    assert found.images([]).shape == (0, 1, 8, 8)
    evaluate(made.folder, "validation", tmp_path, print)
    rows = pd.read_parquet(made.folder.path / "predictions-validation.parquet").head(3)
    train = data.load_train(data.Source("digits"), tmp_path)
    assert torch.equal(found.images(rows["index"], "validation"), train.images[rows["index"].tolist()])
    assert train.labels[rows["index"].tolist()].tolist() == rows["label"].tolist()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "first").symlink_to(made.folder.path)
    assert examples_that_fail(run_results.RunResults, load_run=load_run) == 0


def test_the_winners_of_a_search(tmp_path: Path) -> None:
    """Those of the best trial first; other folders are left alone."""
    folder = search_folder(tmp_path / "digits")
    made = plan(tmp_path)
    run(made, tmp_path, Quiet())
    for name in ("00002-seed0", "00003-seed1", "00003-seed0-full"):
        shutil.copytree(made.folder.path, folder.winners / name)
    (folder.winners / "00001-seed0").mkdir()
    assert [run.name for run in load_search(folder.path).winners] == ["00003-seed0-full", "00003-seed1", "00002-seed0"]


WITHOUT_RAY = """
import sys
sys.modules["ray"] = None
from tune import load_search
search = load_search(sys.argv[1])
search.trials, search.epochs, search.best(2), search.importances(), search.budget_correlation()
print([name for name in ("matplotlib", "plotly", "sklearn", "torch") if name in sys.modules])
print(search.experiment(0).model.name, len(search.winners), "matplotlib" in sys.modules)
"""


def test_no_ray_is_needed_and_tables_need_no_torch(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WITHOUT_RAY, str(search_folder(tmp_path / "digits").path)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\nsimple_cnn 0 False\n"
