"""`evaluate` as a user meets it."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import image_folder, trained, written

KEYS = [
    "split", "epoch", "n", "loss", "accuracy", "accuracy_interval", "macro_precision", "macro_recall", "macro_f1",
    "weighted_precision", "weighted_recall", "weighted_f1", "top5_accuracy", "expected_calibration_error",
    "calibration", "per_class", "most_confused", "confusion",
]  # fmt: skip


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained once."""
    return trained(tmp_path_factory.mktemp("trained")).folder.path


@pytest.fixture
def run(imagetune: Command, once: Path) -> Path:
    """A copy of it where `imagetune` looks for it."""
    return shutil.copytree(once, Path("checkpoints/run"))


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


def test_corruptions_are_a_table_a_file_and_a_key(imagetune: Command, run: Path) -> None:
    outcome = imagetune("evaluate", "run", "--corruptions")
    rows = [line.split() for line in outcome.out.splitlines() if line.split()[:1] in (["blur"], ["jpeg"])]
    assert [len(row) for row in rows] == [11, 11]  # a name, and five numbers with their signs
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert (run / "figures" / "corruptions.png").is_file()
    text = (run / "corruptions.json").read_text()
    document = imagetune("evaluate", "run", "--corruptions", "--json").document
    assert document.pop("corruptions") == json.loads(text)
    assert document == json.loads((run / "evaluation.json").read_text())
    assert (run / "corruptions.json").read_text() == text


def test_test_time_averaging_is_told_beside_the_plain_accuracy(imagetune: Command, run: Path) -> None:
    plain = imagetune("evaluate", "run", "--json").document
    outcome = imagetune("evaluate", "run", "--test-time-averaging")
    document = json.loads((run / "evaluation.json").read_text())
    mean = document.pop("test_time_averaging")
    assert document == plain
    assert list(mean) == ["accuracy", "accuracy_interval", "loss", "views"]
    assert "with outputs averaged over 6 views (mirrored, shifted by a pixel):" in outcome.out
    assert f"accuracy {100 * mean['accuracy']:.2f} %" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


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
        (["run", "--predictions", "40x40"], "--predictions 40x40 is 1,600 images, but the test split has 359"),
        (["run", "--mistakes", "4"], "--mistakes must be ROWSxCOLS"),
        (["run", "--mistakes", "30x30"], "--mistakes 30x30 is 900 images; use at most 400"),
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


@pytest.mark.parametrize("given", [False, True])
def test_a_class_without_test_images_is_named_and_left_out(imagetune: Command, tmp_path: Path, given: bool) -> None:
    images = image_folder(tmp_path / "images")
    if given:  # a test set of the user's that lacks a class
        shutil.copytree(images, tmp_path / "own" / "train")
        shutil.copytree(images, tmp_path / "own" / "test")
        images = tmp_path / "own"
        shutil.rmtree(images / "test" / "blue")
    else:
        for path in sorted((images / "blue").iterdir())[1:]:
            path.unlink()
    data = f"data={{name: folder, path: {images}, image_size: 8, validation_fraction: 0.2}}"
    assert imagetune("train", written(tmp_path), data, "training.batch_size=8", "--name", "run").code == 0
    outcome = imagetune("evaluate", "run")
    assert sum("'blue'" in line for line in outcome.err.splitlines()) == 1
    assert "macro average (2 of 3)" in outcome.out
    assert next(line.split() for line in outcome.out.splitlines() if "blue" in line) == ["blue", "0", *"----"]
    blue, *others = imagetune("evaluate", "run", "--json").document["per_class"]
    assert (blue["accuracy"], blue["recall"], blue["f1"], blue["precision"]) == (None, None, None, 0.0)
    assert all(row["accuracy"] is not None for row in others)


def test_one_image_per_class_is_trained_on_but_not_tested(imagetune: Command, tmp_path: Path) -> None:
    for grey, name in enumerate(("blue", "green", "red")):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 80 * grey).save(tmp_path / "images" / name / "0.png")
    data = f"data={{name: folder, path: {tmp_path / 'images'}, image_size: 8, validation_fraction: 0}}"
    outcome = imagetune("train", written(tmp_path), data, "training.batch_size=2", "--name", "run")
    assert outcome.code == 0
    assert "no test images" in outcome.err
    outcome = imagetune("evaluate", "run")
    assert (outcome.code, outcome.out) == (2, "")
    assert "use --split train" in outcome.err
    assert imagetune("evaluate", "run", "--split", "train", "--json").document["n"] == 3


def test_scores_of_a_folder_that_cannot_be_written_to_are_printed(
    imagetune: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("tune.evaluation.files.write_whole", refuse)
    outcome = imagetune("evaluate", "run", "--json")
    assert outcome.code == 1
    assert list(outcome.document) == KEYS
    line = "checkpoints/run/predictions.parquet: Read-only file system; the results printed above were not saved"
    assert outcome.err.splitlines()[-1] == line
