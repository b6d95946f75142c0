"""datasets, models, spaces, describe, prepare."""

from __future__ import annotations

from pathlib import Path

import pytest

import models
from tests.tune.cli.conftest import Command
from tests.tune.runs.folders import image_folder


def test_datasets(imagetune: Command) -> None:
    rows = {row["name"]: row for row in imagetune("datasets", "--json").document["datasets"]}
    assert set(rows) == {"digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "folder"}
    assert rows["cifar100"]["classes"] == 100
    assert rows["mnist"]["input_shape"] == [1, 28, 28]
    assert rows["folder"]["classes"] is None
    assert all(row["summary"] for row in rows.values())
    assert "fashion_mnist" in imagetune("datasets").out


def test_models(imagetune: Command) -> None:
    rows = {row["name"]: row for row in imagetune("models", "--json").document["models"]}
    assert rows["classifier"]["parameters"] == 875_592
    assert rows["simple_cnn"]["parameters"] == 421_642
    assert rows["simple_cnn"]["options"] == {"conv_channels": [32, 64], "hidden_dim": 128, "dropout": 0.5}
    assert {name: row["parameters"] for name, row in rows.items()} == {
        "classifier": 875_592,
        "mnist_mlr": 7_850,
        "mnist_cnn": 235_146,
        "simple_cnn": 421_642,
        "cifar_model": 964_516,
        "tiny_vgg": 153_546,
        "mnist_v0": 18_214,
        "mnist_v1": 10_970,
        "mnist_v2": 4_232,
        "mnist_v3": 4_968,
        "mnist_small": 4_968,
        "mnist_residual": 4_818,
        "mini_resnet": 269_722,
        "vae": 500_145,
    }
    assert {row["task"] for row in rows.values()} == {"classification", "reconstruction"}
    assert "875,592" in imagetune("models").out


def test_spaces(imagetune: Command) -> None:
    rows = {row["name"]: row for row in imagetune("spaces", "--json").document["spaces"]}
    assert rows["digits"]["kind"] == "search"
    assert rows["cifar10_classifier"]["free"] == 6
    assert all((row["kind"] == "search") == (row["free"] > 0) for row in rows.values())
    assert all(row["summary"] for row in rows.values())


def test_describe_gives_the_published_numbers(imagetune: Command) -> None:
    facts = imagetune("describe", "classifier", "--json").document
    assert facts["parameters"] == 875_592
    assert facts["mult_adds"] == pytest.approx(3.20e9, abs=5e6)
    assert facts["forward_backward_mb"] == pytest.approx(158.98, abs=0.005)
    assert facts["params_mb"] == pytest.approx(3.50, abs=0.005)
    assert facts["channels"] == [3, 46, 62, 84, 114, 155, 210]
    assert facts["sizes"] == [20, 13, 8, 5, 3, 2]
    assert facts["widths"] == [840, 277, 92, 30, 10]
    assert facts["channel_ratio"] == 1.3548533596918833
    layers = {"Conv2d": 6, "BatchNorm2d": 6, "Mish": 10, "FractionalPool": 6, "Flatten": 1, "Linear": 4}
    assert facts["layers"] == layers


def test_describe_shows_every_layer_with_its_shapes_and_how_many_there_are_of_a_type(
    imagetune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = imagetune("describe", "mnist_v2").out.splitlines()
    (first,) = [line.split() for line in lines if "Conv2d: 1-1 " in line]
    assert first[1:] == ["1-1", "[100,", "1,", "28,", "28]", "[100,", "4,", "28,", "28]", "36", "2,822,400"]
    assert "Total params: 4,232" in lines
    assert lines[-1] == (
        "layers        8 Conv2d, 7 BatchNorm2d, 7 ReLU, 2 MaxPool2d, 1 Dropout2d, 1 AvgPool2d, 1 Flatten, 1 LogSoftmax"
    )


def test_describe_fits_the_terminal(imagetune: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in models.names():
        out = imagetune("describe", name).out
        assert max(map(len, out.splitlines())) <= 80, name
        assert "Mult-Adds" in out
    assert "│ │ └─Conv2d: 3-1              [100, 32, 32, 32]  896      91,750,400" in out  # of the last one, vae


def test_describe_a_vae(imagetune: Command) -> None:
    facts = imagetune("describe", "vae", "--input", "1x28x28", "latent_dim=2", "--json").document
    assert facts["channels"] == [1, 32, 51, 81, 128]
    assert facts["sizes"] == [14, 7, 4, 2]
    assert "widths" not in facts
    assert facts["layers"]["Upsample"] == 4


def test_describe_takes_fields_image_classes_and_batch(imagetune: Command) -> None:
    words = ("describe", "simple_cnn", "conv_channels=[16,32]", "--input", "3x8x8", "--classes", "4", "--batch", "2")
    facts = imagetune(*words, "--json").document
    assert facts["options"]["conv_channels"] == [16, 32]
    assert facts["parameters"] == (3 * 9 + 1) * 16 + (16 * 9 + 1) * 32 + (32 * 2 * 2 + 1) * 128 + (128 + 1) * 4
    assert "channels" not in facts
    assert "Total params" in imagetune(*words).out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["clasifier"], "did you mean classifier?"),
        (["classifier", "cnn_layer=5"], "did you mean cnn_layers?"),
        (["classifier", "cnn_layers=12"], "cnn_layers"),
        (["classifier", "cnn_layers"], "'cnn_layers' is not an override; write dotted.name=value"),
        (["classifier", "cnn_layers=[1"], "cannot be read as YAML"),
        (["classifier", "cnn_layers=many"], "many"),
        (["classifier", "--input", "32x32"], "--input must be CxHxW"),
        (["classifier", "--input", "3x32x0"], "--input must be CxHxW"),
        (["classifier", "--input", f"3x32x{10**23}"], "--input must be CxHxW"),
        (["classifier", "--classes", str(10**23)], "1000000"),
        (["classifier", "--batch", str(10**23)], "1000000"),
    ],
)
def test_describe_refuses(imagetune: Command, words: list[str], line: str) -> None:
    outcome = imagetune("describe", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert line in outcome.err


def test_prepare_digits(imagetune: Command) -> None:
    facts = imagetune("prepare", "digits", "--json").document
    assert (facts["train_size"], facts["test_size"], len(facts["classes"])) == (1438, 359, 10)
    assert facts["mean"] == [pytest.approx(0.3048, abs=1e-3)]
    assert "train 1,438 images" in imagetune("prepare", "digits").out


def test_prepare_a_folder(imagetune: Command, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "my images ü")
    words = ("prepare", "folder", f"data.path={images}", "data.image_size=8", "--data-dir", tmp_path / "data")
    facts = imagetune(*words, "--json").document
    assert facts["input_shape"] == [3, 8, 8]
    assert facts["classes"] == ["blue", "green", "red"]
    assert (facts["train_size"], facts["test_size"]) == (29, 7)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["mnit"], ["did you mean mnist"]),
        (["folder"], ["image_size"]),
        (["folder", "data.path=/no/where", "data.image_size=8"], ["/no/where does not exist"]),
        (
            ["digits", "data.pth=1", "training.epochs=2"],
            ["data.pth: unknown field; did you mean path?", "training.epochs: is not a data field"],
        ),
    ],
)
def test_prepare_refuses(imagetune: Command, words: list[str], lines: list[str]) -> None:
    outcome = imagetune("prepare", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert all(line in outcome.err for line in lines)


def test_a_line_break_in_a_path_makes_no_second_line(imagetune: Command, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "my\nimages")
    (images / "notes.txt").touch()
    words = ("prepare", "folder", "data.image_size=8")
    outcome = imagetune(*words, f"data.path={images}")
    assert outcome.code == 0
    assert r"my\nimages: 1 file of an unsupported type" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    outcome = imagetune(*words, f"data.path={images / 'red'}")
    assert outcome.code == 2
    assert r"my\nimages" in outcome.err
    assert len(outcome.err.splitlines()) == 1
