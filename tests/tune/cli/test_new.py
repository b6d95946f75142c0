"""`imagetune new`: what it writes is accepted, fits the images and the machine, and finds something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search_spaces import shipped
from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import image_folder
from tune.search.own_images import starter as starting
from tune.search.own_images.budget import expected_epochs
from tune.search.samplers import too_odd
from tune.spec import load_search
from tune.spec.files import read_tree


def noise(folder: Path, classes: int, each: int, side: Callable[[int], int], mode: str = "RGB") -> Path:
    """Images without sense, whose shorter sides depend on their numbers."""
    for label in range(classes):
        (folder / f"c{label}").mkdir(parents=True)
        for i in range(each):
            pixels = np.full((side(i), 2 * side(i), 3), i, np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / f"c{label}" / f"{i}.png")
    return folder


FOLDERS: dict[str, tuple[Callable[[Path], object], int, int]] = {  # what makes it, the image side, the batch size
    "colour": (image_folder, 16, 4),
    "ünï: # 'x' {y}": (image_folder, 16, 4),
    "grey and tiny": (lambda path: noise(path, 2, 30, lambda i: 5, "L"), 8, 8),
    "two a class": (lambda path: noise(path, 3, 2, lambda i: 30), 28, 2),
    "mixed sizes": (lambda path: noise(path, 2, 10, lambda i: 20 + 5 * i), 32, 4),
    "huge": (lambda path: noise(path, 2, 5, lambda i: 500), 64, 2),
    "thousand classes": (lambda path: noise(path, 1000, 2, lambda i: 8), 8, 32),
    "parts": (lambda path: [noise(path / part, 2, 10, lambda i: 40) for part in ("train", "test")], 32, 4),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which every epoch takes a second."""
    monkeypatch.setattr(starting, "seconds_per_epoch", lambda *arguments: 1.0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", FOLDERS)
def test_folders_of_all_kinds(imagetune: Command, tmp_path: Path, name: str) -> None:
    make, side, batch = FOLDERS[name]
    make(tmp_path / name)
    outcome = imagetune("new", "mine.yaml", "--images", name)
    assert outcome.code == 0, outcome.err
    spec = load_search("mine.yaml")
    experiment = spec.sample
    assert experiment.data.path == str(tmp_path / name)
    assert (experiment.data.image_size, experiment.training.batch_size) == (side, batch)
    assert ("test_fraction" in Path("mine.yaml").read_text()) == (name != "parts")
    assert spec.search.scheduler.longest == experiment.training.epochs == spec.longest
    assert too_odd(spec.space) == ""  # for the sampler gp


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: noise(path, 1, 5, lambda i: 8), "single class"),
        (lambda path: noise(path, 2, 1, lambda i: 8), "add images"),
        (lambda path: path.mkdir(), "no class folders"),
        (lambda path: None, "does not exist"),
        (lambda path: [image_folder(path), [file.write_bytes(b"?") for file in path.glob("*/*")]], "can be opened"),
    ],
)
def test_folders_that_are_refused(
    imagetune: Command, tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / "images")
    outcome = imagetune("new", "mine.yaml", "--images", "images")
    assert outcome.code == 2
    assert words in outcome.err
    assert not Path("mine.yaml").exists()


@pytest.mark.usefixtures("quick")
def test_files_that_are_refused(imagetune: Command, tmp_path: Path) -> None:
    image_folder(tmp_path / "images")
    (tmp_path / "mine.yaml").write_text("precious")
    for file, words in (("mine.yaml", "already exists"), ("mine", "must end in .yaml"), ("no/mine.yaml", "create it")):
        outcome = imagetune("new", file, "--images", "images")
        assert (outcome.code, outcome.out) == (2, "")
        assert words in outcome.err
    assert (tmp_path / "mine.yaml").read_text() == "precious"


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("quick")
def test_like_every_shipped_space(imagetune: Command, tmp_path: Path) -> None:
    image_folder(tmp_path / "images", each=120)
    spaces = [name for name, path in shipped().items() if read_tree(path).get("space")]
    assert len(spaces) == 14
    for name in spaces:
        outcome = imagetune("new", f"like_{name}.yaml", "--images", "images", "--like", name)
        assert outcome.code == 0, (name, outcome.err)
        written, original = (read_tree(path) for path in (Path(f"like_{name}.yaml"), shipped()[name]))
        assert written["space"] == original["space"]
        assert written.get("constraints") == original.get("constraints")
    outcome = imagetune("new", "other.yaml", "--images", "images", "--like", "mnist_v0")
    assert (outcome.code, "no searched field" in outcome.err) == (2, True)


@pytest.mark.usefixtures("quick")
def test_a_space_that_needs_more_images_is_refused_by_its_name(imagetune: Command, tmp_path: Path) -> None:
    image_folder(tmp_path / "images")
    outcome = imagetune("new", "mine.yaml", "--images", "images", "--like", "cifar10_tiny_vgg")
    assert outcome.code == 2
    assert outcome.err.startswith("cifar10_tiny_vgg: ")
    assert "training.batch_size: must be at most 23, the number of training images" in outcome.err


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("seconds", "epochs", "trials"), [(0.01, 50, 60), (1e5, 5, 10)])
def test_the_budget_follows_from_the_speed(
    imagetune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, epochs: int, trials: int
) -> None:
    image_folder(tmp_path / "images")
    monkeypatch.setattr(starting, "seconds_per_epoch", lambda *arguments: seconds)
    document = imagetune("new", "mine.yaml", "--images", "images", "--json").document
    assert (document["epochs"], document["trials"]) == (epochs, trials)
    assert (document["file"], document["classes"], document["train_size"], document["test_size"]) == (
        "mine.yaml", 3, 29, 7,
    )  # fmt: skip


def test_expected_epochs_are_those_of_asha() -> None:
    # Of 9 trials, 9 reach epoch 1, 3 epoch 3 and 1 epoch 9: (9 x 1 + 3 x 2 + 1 x 6) / 9 epochs each.
    assert expected_epochs(9) == pytest.approx(21 / 9)
    assert expected_epochs(1) == 1


def test_what_is_written_can_be_trained_and_learns(imagetune: Command, tmp_path: Path) -> None:
    image_folder(tmp_path / "images", each=40)
    outcome = imagetune("new", "mine.yaml", "--images", "images")  # measured
    assert "wrote mine.yaml" in outcome.out
    fields = (
        "model.cnn_layers=3", "model.starting_channels=16", "model.final_channels=32", "model.residual=false",
        "model.dropout=0", "training.optimizer.lr=0.003", "data.augment=[]", "training.epochs=5",
    )  # fmt: skip
    assert imagetune("train", "mine.yaml", *fields, "--json").document["val_accuracy"] > 0.8
