"""`predict` as a user meets it, with classifiers and with VAEs."""

from __future__ import annotations

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import data
from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import written
from tune.cli.output import wrapped
from tune.evaluation.pictures import GAP

VAE = "model={name: vae, cnn_layers: 2, starting_channels: 8, final_channels: 16, latent_dim: 4}"


@pytest.fixture
def classifier(imagetune: Command, tmp_path: Path) -> str:
    imagetune("train", written(tmp_path), "--name", "run")
    return "run"


@pytest.fixture
def vae(imagetune: Command, tmp_path: Path) -> str:
    assert imagetune("train", written(tmp_path), VAE, "--name", "vae").code == 0
    return "vae"


@pytest.fixture
def digits(tmp_path: Path) -> list[Path]:
    """The first test images as files."""
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, data.load_test(data.Source("digits"), tmp_path).images, strict=False):
        Image.fromarray(image[0].numpy()).save(path)
    return paths


def pictures() -> list[Path]:
    return sorted(Path("checkpoints").rglob("*.png"))


def size(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_files_are_taken_for_what_evaluate_takes_them_for(
    imagetune: Command, classifier: str, digits: list[Path]
) -> None:
    rows = imagetune("predict", classifier, *digits, "--json").document["predictions"]
    imagetune("evaluate", classifier)
    table = pd.read_parquet("checkpoints/run/predictions.parquet").head(5)
    assert [row["image"] for row in rows] == [str(path) for path in digits]
    assert [row["class"] for row in rows] == table["predicted_name"].tolist()
    assert [row["probability"] for row in rows] == pytest.approx(table["probability"])
    for row in rows:
        assert list(row) == ["image", "class", "probability", "top"]
        assert row["top"][0] == {"class": row["class"], "probability": row["probability"]}
        values = [one["probability"] for one in row["top"]]
        assert values == sorted(values, reverse=True)
        assert len(values) == 5


def test_all_classes_sum_to_one_and_the_table_is_for_people(
    imagetune: Command, classifier: str, digits: list[Path]
) -> None:
    (row,) = imagetune("predict", classifier, digits[0], "--top", "99", "--json").document["predictions"]
    assert len({one["class"] for one in row["top"]}) == 10
    assert sum(one["probability"] for one in row["top"]) == pytest.approx(1)
    table = imagetune("predict", classifier, digits[0]).out
    assert "most probable classes" in table
    assert "\\n" not in table, "the classes fill several lines of the terminal, without marks of the lines' ends"


def test_lines_are_broken_between_classes() -> None:
    assert wrapped(["golden retriever 90.00 %", "cat 9.00 %", "great white shark 1.00 %"], 38) == [
        "golden retriever 90.00 %, cat 9.00 %,",
        "great white shark 1.00 %",
    ]
    assert wrapped(["golden retriever 90.00 %", "cat 9.00 %"], 5) == ["golden retriever 90.00 %,", "cat 9.00 %"]
    assert wrapped([], 5) == [""]


def test_any_image_is_brought_to_the_models_size_and_channels(
    imagetune: Command, classifier: str, tmp_path: Path
) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (37, 50, 4), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "odd.png")
    Image.fromarray(colour[..., :3]).save(tmp_path / "odd.jpg")
    rows = imagetune("predict", classifier, tmp_path / "odd.png", tmp_path / "odd.jpg", "--json").document
    assert len(rows["predictions"]) == 2


def test_a_file_name_that_is_not_utf8(imagetune: Command, classifier: str, digits: list[Path]) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    digits[0].rename(name)
    (row,) = imagetune("predict", classifier, name, "--json").document["predictions"]
    assert row["image"] == name
    command = [sys.executable, "-m", "tune", "predict", classifier, name]
    table = subprocess.check_output(command, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"})
    assert b"caf" in table
    outcome = imagetune("predict", classifier, f"no{name}", "missing.png")
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 2


def test_draws(imagetune: Command, vae: str, tmp_path: Path) -> None:
    first = imagetune("predict", vae, "--sample", "2x3", "--json").document
    assert first == {"predictions": [], "picture": "checkpoints/vae/figures/samples.png"}
    content = Path(first["picture"]).read_bytes()
    other = tmp_path / "new" / "other.png"
    assert f"wrote {other}" in imagetune("predict", vae, "--sample", "2x3", "--seed", "1", "--output", other).out
    assert other.read_bytes() != content
    imagetune("predict", vae, "--sample", "2x3", "--seed", "0", "--output", other)
    assert other.read_bytes() == content
    assert size(other) == (3 * 64 + 4 * GAP, 2 * 64 + 3 * GAP)


def test_the_way_between_two(imagetune: Command, vae: str, digits: list[Path]) -> None:
    found = imagetune("predict", vae, *digits[:2], "--interpolate", "7", "--json").document
    assert size(found["picture"]) == (7 * 64 + 8 * GAP, 64 + 2 * GAP)
    assert found["picture"] == "checkpoints/vae/figures/interpolation.png"


def test_reconstructions_of_files_are_those_of_evaluate(imagetune: Command, vae: str, digits: list[Path]) -> None:
    found = imagetune("predict", vae, *digits, "--json").document
    assert Path(found["picture"]) == Path("checkpoints/vae/figures/images.png")
    assert [list(row) for row in found["predictions"]] == [["image", "loss", "reconstruction", "kl"]] * 5
    imagetune("evaluate", vae)
    table = pd.read_parquet("checkpoints/vae/predictions.parquet").head(5)
    assert [row["kl"] for row in found["predictions"]] == pytest.approx(table["kl"], rel=1e-4)
    assert "reconstruction" in imagetune("predict", vae, digits[0]).out


def test_evaluate_tells_the_bound_for_people(imagetune: Command, vae: str) -> None:
    out = imagetune("evaluate", vae, "--predictions", "2x3").out
    assert "test, 359 images: loss " in out
    assert "reconstructions.png" in out
    keys = ["split", "epoch", "n", "loss", "reconstruction", "kl"]
    assert list(imagetune("evaluate", vae, "--json").document) == keys


A, B = "0.png", "1.png"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run"], "no images given"),
        (["run", "--sample", "2x2"], "--sample: checkpoints/run is a simple_cnn"),
        (["run", A, B, "--interpolate", "3"], "--interpolate: checkpoints/run is a simple_cnn"),
        (["run", A, "--output", "x.png"], "--output x.png"),
        (["run", A, "--top", "0"], "--top"),
        (["run", "missing.png", "broken.png"], "cannot read the image missing.png: No such file or directory\ncannot read the image broken.png: it is not an image"),
        (["run", "empty"], "there are no images in empty"),
        (["run", "0.png", "no.onnx"], "cannot read the image no.onnx"),
        (["no.onnx", A], "no.onnx: there is no such file"),
        (["no.onnx", "--sample", "2x2"], "no.onnx is an exported classifier"),
        (["run", A, "--csv", "empty"], "--csv empty is a folder"),
        (["vae", "--sample", "2x2", "--csv", "x.csv"], "--csv x.csv"),
        (["rn", A], "'rn' is not a run"),
        (["vae", "--sample", "8"], "--sample"),
        (["vae", "--sample", "200x200"], "--sample: 200 x 200 is 40,000 images; use at most 10,000"),
        (["vae", A, "--sample", "2x2"], "--sample takes no images (got 1)"),
        (["vae", A, "--interpolate", "3"], "--interpolate takes two images (got 1)"),
        (["vae", "--interpolate", "3"], "--interpolate takes two images (got 0)"),
        (["vae", A, B, "--interpolate", "1"], "--interpolate"),
        (["vae", "--interpolate", "3", "--sample", "2x2"], "--sample and --interpolate"),
        (["vae", A, "missing.png", "--interpolate", "3"], "cannot read the image missing.png"),
        (["vae", "--sample", "2x2", "--output", "x.jpg"], "--output x.jpg"),
        (["vae", "--sample", "2x2", "--seed", "-1"], "--seed"),
    ],
)  # fmt: skip
def test_refusals(both: Command, words: list[str], line: str) -> None:
    outcome = both("predict", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert line in outcome.err
    assert pictures() == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier and a VAE that were trained once."""
    from tests.tune.runs.folders import trained

    place = tmp_path_factory.mktemp("runs")
    trained(place, name="run")
    trained(place, VAE, name="vae")
    return place / "out"


@pytest.fixture
def both(imagetune: Command, runs: Path, digits: list[Path]) -> Command:
    """The two runs where `imagetune` looks for them, and some files."""
    Path("checkpoints").symlink_to(runs)
    Path("broken.png").write_bytes(b"nothing")
    Path("empty").mkdir()
    return imagetune


def test_the_examples_run(both: Command) -> None:
    for name in ("photo.png", "other.jpg", "a.png", "b.png"):
        Image.new("RGB", (20, 30), "teal").save(name)
    examples = importlib.import_module("tune.cli.predict").EXAMPLES
    assert len(examples) == 6
    photos = Path("photos", "deeper")
    photos.mkdir(parents=True)
    Image.new("RGB", (20, 30), "teal").save(photos / "c.png")
    for example in examples:
        _, *words = shlex.split(example)
        if words[1].endswith(".onnx"):
            continue  # test_export.py
        words = [{"first": "run", "vae_digits": "vae"}.get(word, word) for word in words]
        assert both(*words).code == 0, example
    for path in pictures():
        path.unlink()
