"""On a terminal every command ends with the one that one would use next, as it can be pasted."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path

import pytest

from tests.tune.cli.conftest import Command
from tests.tune.report.run_folders import evaluated, run_folder
from tests.tune.runs.folders import EXPERIMENT, image_folder, search_folder, trained
from tune.cli import next_step
from tune.cli.main import COMMANDS, load, options_of
from tune.record.folder import RunFolder, SearchFolder
from tune.record.opening import open_record, read_search
from tune.runs.info import read_run, write_run
from tune.spec import Experiment

FIELDS = "model.cnn_layers=2 model.starting_channels=8 model.final_channels=8 training.optimizer.lr=0.01"
AFTER = {
    "datasets": ("", ["prepare digits"]),
    "models": ("", ["describe classifier cnn_layers=5"]),
    "spaces": ("mnist_v0", ["train mnist_v0"]),
    "new": ("'my images.yaml' --images images", ["search 'my images.yaml'"]),
    "prepare": ("folder 'data.path=my images'", ["new my_images.yaml --images 'my images'"]),
    "describe": ("tiny_vgg", ["search cifar10_tiny_vgg"]),
    "train": ("some.yaml --name run --out out", ["evaluate run --out out"]),
    "preview": ("digits search.trials=9 --data-dir d", ["search digits search.trials=9 --data-dir d"]),
    "search": (
        "digits --name s --out out --data-dir d",
        ["report s --out out", "retrain s --out out --data-dir d"],
    ),
    "status": ("s --out out", ["search s --resume --out out"]),
    "stop": ("s --trial 4 --out out", ["status s --out out"]),
    "add": ("s model.hidden_dim=9 --out out", ["status s --out out"]),
    "set": ("s search.trials=9 --out out", ["status s --out out"]),
    "results": ("out/s", ["report out/s", "retrain out/s"]),
    "report": ("s --out out", ["retrain s --out out"]),
    "retrain": ("s --out out", ["evaluate s/winners/00002-seed0 --out out"]),
    "evaluate": ("run --out out", ["export run --format onnx --out out"]),
    "predict": ("run a.png --out out", ["evaluate run --out out"]),
    "reproduce": ("", ["reproduce --list"]),
    "compare": ("run --out out", ["evaluate run --out out"]),
    "export": ("run --out out", ["latency run --out out"]),
    "latency": ("out/run", ["evaluate out/run"]),
    "dashboard": ("s --out out", ["results s --out out"]),
    "log": ("s --to tensorboard --out out", ["report s --out out"]),
    "submit": ("digits --out /shared --address http://host:8265", ["jobs --address http://host:8265"]),
    "jobs": ("", ["submit digits --out /shared/searches"]),
    "logs": ("digits-3f9a2c -f", ["jobs"]),
    "cancel": ("digits-3f9a2c --address http://host:8265", ["jobs --address http://host:8265"]),
}


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_step, "on_terminal", lambda: True)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run and a search with a winner below `out`, in the working folder."""
    monkeypatch.chdir(tmp_path)
    trained(tmp_path, "training.epochs=1")
    winner = search_folder(tmp_path / "out" / "s").winners / "00002-seed0"
    winner.mkdir(parents=True)
    (winner / "experiment.yaml").write_text(EXPERIMENT)
    return tmp_path


def test_every_command_has_one() -> None:
    assert len(AFTER) == 28
    assert set(AFTER) == set(next_step.STEPS) >= set(COMMANDS)


def test_what_comes_next(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        words, steps = AFTER[name]
        if "export" not in COMMANDS:
            steps = [step.replace("export", "evaluate").replace("--format onnx", "--predictions 4x8") for step in steps]
        given = load(name).make_context(name, shlex.split(words)).params
        next_step.tell(name, given, options_of)
        line = capsys.readouterr().out
        assert line == f"next: {'   or: '.join(f'imagetune {step}' for step in steps)}\n", name
        for step in steps:  # it could be pasted
            command, *rest = shlex.split(step)
            assert load(command).make_context(command, rest)


def test_a_search_that_has_done_enough_is_not_to_be_resumed(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SearchFolder(work / "out" / "s")
    with closing(open_record(folder, read_search(folder).objective)) as record:
        record.note("state", {"state": "stopped", "reason": "80 epochs are trained", "enough": True})
    next_step.tell("status", load("status").make_context("status", ["s", "--out", "out"]).params, options_of)
    assert capsys.readouterr().out == "next: imagetune report s --out out   or: imagetune retrain s --out out\n"


def test_a_run_without_test_images_is_evaluated_on_others(tmp_path: Path, imagetune: Command) -> None:
    images = image_folder(tmp_path / "images", each=1)
    source = f"{{name: folder, path: {images}, image_size: 8, validation_fraction: 0}}"
    experiment = EXPERIMENT.replace("{name: digits, train_limit: 300}", source).replace("64", "2")
    (tmp_path / "one.yaml").write_text(experiment)
    done = imagetune("train", "one.yaml", "training.epochs=1")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "next: imagetune evaluate one --split validation"


def test_what_an_autoencoder_and_an_exported_run_lack(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = load("evaluate").make_context("evaluate", ["run", "--out", "out"]).params
    (work / "out" / "run" / "export").mkdir()
    next_step.tell("evaluate", given, options_of)
    assert capsys.readouterr().out == ""
    folder = RunFolder(work / "out" / "run")
    experiment, info = read_run(folder)
    write_run(folder, Experiment.model_validate(experiment.to_tree() | {"model": {"name": "vae"}}), info)
    next_step.tell("evaluate", given, options_of)
    assert capsys.readouterr().out == "next: imagetune predict run --sample 4x8 --out out\n"


def test_a_winner_with_other_settings_is_the_one_to_evaluate(imagetune: Command, tmp_path: Path) -> None:
    search_folder(tmp_path / "checkpoints" / "s")
    out = imagetune("retrain", "s", "--seeds", "1", "training.epochs=1").out
    (winner,) = (tmp_path / "checkpoints" / "s" / "winners").iterdir()
    assert out.splitlines()[-1] == f"next: imagetune evaluate s/winners/{winner.name}"


def test_of_compared_runs_the_best_one_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "checkpoints"
    for name, losses in (("bad", (0.9,)), ("good", (0.2,)), ("untrained", ())):
        run_folder(out / name, losses)
    given = load("compare").make_context("compare", ["bad", "untrained", "checkpoints/good"]).params
    for name, step in (("bad", "evaluate checkpoints/good"), ("good", "export checkpoints/good --format onnx")):
        evaluated(RunFolder(out / name), [0, 1], [0, 1])
        next_step.tell("compare", given, options_of)
        assert capsys.readouterr().out == f"next: imagetune {step}\n"


def test_the_line_is_the_last_and_only_for_people(imagetune: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert imagetune("datasets").out.splitlines()[-1] == "next: imagetune prepare digits"
    assert "next:" not in imagetune("datasets", "--json").out
    assert "next:" not in imagetune("status", "nowhere").out
    monkeypatch.setattr(next_step, "on_terminal", lambda: False)
    assert "next:" not in imagetune("datasets").out
