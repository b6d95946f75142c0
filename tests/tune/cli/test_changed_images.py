"""What becomes of a run or a search when the user's images change, or only move."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.tune.changed_images import CHANGES, SPACE, remove_image, rename_images
from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import image_folder, search_folder, written
from tune.errors import UserError
from tune.export.quantize import quantize
from tune.record import RunFolder, SearchFolder
from tune.record.same_data import FILE
from tune.runs.info import read_run
from tune.runs.weights import open_run

EXPERIMENT = """
data: {name: folder, path: PATH, image_size: 8, validation_fraction: 0.2}
model: {name: mnist_mlr}
training: {epochs: 1, batch_size: 8, threads: 1}
"""


COMMANDS = {
    "resume": ["train", "run", "--resume", "training.epochs=2"],
    "evaluate": ["evaluate", "run"],
    "validation": ["evaluate", "run", "--split", "validation"],
    "train": ["evaluate", "run", "--split", "train"],
    "retrain": ["retrain", "found", "--seeds", "1"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a run and a search of them; copied by every test."""
    from typer.testing import CliRunner

    from tune.cli.main import app

    place = tmp_path_factory.mktemp("made")
    images = image_folder(place / "images")
    experiment = written(place, EXPERIMENT.replace("PATH", str(images)))
    words = ["train", experiment, "--name", "run", "--out", place / "checkpoints", "--data-dir", place / "cache"]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    search_folder(place / "checkpoints" / "found", SPACE.replace("PATH", str(images)), root=place)
    return place


@pytest.fixture
def images(made: Path, tmp_path: Path) -> Path:
    """The images at their place again, and the run and the search below `checkpoints`."""
    shutil.copytree(made / "checkpoints", tmp_path / "checkpoints")
    there = made / "images"
    if not there.exists():
        image_folder(there)
    return there


@pytest.fixture(autouse=True)
def away(made: Path) -> object:
    """What a test did to the images is undone."""
    yield
    shutil.rmtree(made / "images", ignore_errors=True)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("command", COMMANDS)
def test_changed_images_are_refused_by_every_command(
    imagetune: Command, images: Path, command: str, change: Callable[[Path], None]
) -> None:
    change(images)
    before = {path: path.stat().st_mtime_ns for path in Path("checkpoints").rglob("*")}
    outcome = imagetune(*COMMANDS[command])
    assert (outcome.code, outcome.out) == (2, "")
    assert CHANGES[change] in outcome.err
    assert "data.path=" in outcome.err
    assert {path: path.stat().st_mtime_ns for path in Path("checkpoints").rglob("*")} == before


def test_quantize_calibrates_on_no_other_images(images: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    run = open_run(RunFolder(tmp_path / "checkpoints" / "run"), torch.device("cpu"))
    rename_images(images)
    with pytest.raises(UserError, match="the same images"):
        quantize(run, tmp_path, lambda text: None)


@pytest.mark.parametrize("command", COMMANDS)
def test_moved_images_are_found_again(imagetune: Command, images: Path, command: str) -> None:
    moved = images.rename(Path("elsewhere").absolute())
    outcome = imagetune(*COMMANDS[command])
    assert outcome.code == 2
    assert "use data.path=FOLDER if the images are somewhere else now" in outcome.err
    outcome = imagetune(*COMMANDS[command], "data.path=elsewhere")
    assert outcome.code == 0, outcome.err
    if command == "resume":
        experiment, info = read_run(RunFolder(Path("checkpoints/run")))
        assert experiment.data.path == str(moved)
        assert info.data != "unknown"
    if command == "retrain":
        assert [path.name for path in Path("checkpoints/found/winners").iterdir()] == ["00002-seed0"]
        assert imagetune(*COMMANDS[command], "data.path=elsewhere").code == 0
    rename_images(moved)
    assert imagetune(*COMMANDS[command], "data.path=elsewhere").code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_records_of_before_go_on(imagetune: Command, images: Path, command: str) -> None:
    run, search = RunFolder(Path("checkpoints/run")), SearchFolder(Path("checkpoints/found"))
    for place, file in ((run.path, run.experiment), (search.path, search.spec)):
        (place / FILE).unlink()
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(line for line in lines if not line.startswith("  data: ")))
    outcome = imagetune(*COMMANDS[command])
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("before imagetune recorded its images") == 1
    if command == "resume":  # from now on they are recorded
        assert read_run(run)[1].data != "unknown"
        assert (run.path / FILE).is_file()


def test_a_test_folder_of_its_own_is_compared_too(imagetune: Command, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images" / "train").parent
    shutil.copytree(images / "train", images / "test")
    assert imagetune("train", written(tmp_path, EXPERIMENT.replace("PATH", str(images))), "--name", "run").code == 0
    remove_image(images / "test")
    outcome = imagetune("evaluate", "run")
    assert outcome.code == 2
    assert "1 image removed" in outcome.err


@pytest.mark.parametrize("field", ["data.split_seed=3", "data.test_fraction=0.5", "data.validation_fraction=0.3"])
def test_a_winner_is_not_tested_on_other_images(imagetune: Command, images: Path, field: str) -> None:
    outcome = imagetune(*COMMANDS["retrain"], field)
    assert outcome.code == 2
    assert field.partition("=")[0] in outcome.err
    assert not Path("checkpoints/found/winners").exists()


@pytest.mark.parametrize("words", [["training.epochs=3"], ["data.path=a", "data.image_size=4"], ["nonsense"]])
def test_evaluate_changes_nothing_but_the_path(imagetune: Command, images: Path, words: list[str]) -> None:
    outcome = imagetune("evaluate", "run", *words)
    assert (outcome.code, outcome.out) == (2, "")
