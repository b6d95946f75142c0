"""What sections can only be told wrong together, and that one fault hides no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models
from tests.tune.spec.conftest import Desk
from tune.spec import data_root, load_search

EXPERIMENT = "data: {name: digits}\nmodel: {name: mnist_mlr}\n"
TRAIN_SIZE = 1438  # of the digits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: two classes of twenty images of 12 x 12 pixels."""
    for name in ("cats", "dogs"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(20):
            Image.fromarray(np.full((12, 12, 3), 5 * index, np.uint8)).save(tmp_path / "images" / name / f"{index}.png")
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["training.batch_size=1295"], ["override: training.batch_size: 1295 is larger than the training set of 1294 images; legal: <= 1294"]),
        (
            ["training.batch_size=1294", "data.validation_fraction=0.5"],
            ["override: training.batch_size: 1294 is larger than the training set of 719 images; legal: <= 719"],
        ),
        (
            ["data.train_limit=100", "training.batch_size=101"],
            ["override: training.batch_size: 101 is larger than the training set of 100 images; legal: <= 100"],
        ),
        (["data.train_limit=1295"], ["override: data.train_limit: 1295 is above the 1294 training images; legal: <= 1294"]),
        (["data.validation_fraction=1e-4"], ["override: data.validation_fraction: 0.0001 of 1438 images is none; legal: 0, or >= 0.0007"]),
        (
            ["data.validation_fraction=0.9951", "training.batch_size=1"],
            ["override: data.validation_fraction: 0.9951 leaves 7 images to train 10 classes on; legal: <= 0.993"],
        ),
        (
            ["data.validation_fraction=0", "training.early_stopping={}"],
            ["override: data.validation_fraction: 0 leaves nothing to judge early stopping by; legal: > 0, or no training.early_stopping"],
        ),
        (["data.normalize={mean: [1, 2, 3], std: [1, 2, 3]}"], ["override: data.normalize: is given for 3 channels, and the images have 1; legal: 1"]),
        (
            ["data.name=cifar10", "data.normalize={mean: [1, 2], std: [1, 2]}"],
            ["override: data.normalize: is given for 2 channels, and the images have 3; legal: 3, or 1 for all"],
        ),
        (
            ["model={name: classifier, cnn_layers: 6}"],
            [
                "override: model: classifier: cnn_layers must be 1 to 4 for images of 8 x 8 pixels (got 6): every stage must shrink the feature map, and stage 5 would go from 3 to 3 pixels"
            ],
        ),
        (
            ["model={name: simple_cnn, conv_channels: [8, 8, 8, 8]}"],
            [
                "override: model: simple_cnn: images must be at least 16 x 16 pixels for 4 conv_channels (got 8 x 8), since each halves them"
            ],
        ),
    ],
)  # fmt: skip
def test_impossible_combinations(desk: Desk, overrides: list[str], lines: list[str]) -> None:
    assert desk.refusal(desk.experiment, EXPERIMENT, *overrides) == lines


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.batch_size=1294"],
        ["data.validation_fraction=0", f"training.batch_size={TRAIN_SIZE}", f"data.train_limit={TRAIN_SIZE}"],
        ["data.validation_fraction=0.0007"],
        ["data.validation_fraction=0.993", "training.batch_size=10"],
        ["data.name=cifar10", "data.normalize={mean: [0.5], std: [0.5]}"],
        ["data.name=cifar10", "data.normalize={mean: [0.5, 0.5, 0.5], std: [0.5, 1, 2]}"],
    ],
)
def test_what_is_just_possible(desk: Desk, overrides: list[str]) -> None:
    assert desk.experiment(EXPERIMENT, *overrides).model.name == "mnist_mlr"


def test_the_users_own_images(desk: Desk, folder: Path) -> None:
    own = ("data.name=folder", f"data.path={folder}", "data.image_size=12")
    made = desk.experiment(EXPERIMENT, *own, "data.validation_fraction=0.25", "training.batch_size=24")
    assert made.data.source.path == str(folder)
    # 40 images: 8 test, 8 of the other 32 validate
    assert desk.refusal(
        desk.experiment, EXPERIMENT, *own, "data.validation_fraction=0.25", "training.batch_size=25"
    ) == ["override: training.batch_size: 25 is larger than the training set of 24 images; legal: <= 24"]


def test_folders_that_cannot_be_used(desk: Desk, folder: Path) -> None:
    own = ("data.name=folder", "data.image_size=12")
    assert desk.refusal(desk.experiment, EXPERIMENT, *own, "data.path=/no/where", "training.epochs=0") == [
        "override: training.epochs: 0 is out of range; legal: >= 1",
        "override: data.path: /no/where does not exist",
    ]
    lines = desk.refusal(desk.experiment, EXPERIMENT, *own, f"data.path={folder / 'cats'}")
    assert len(lines) == 1
    assert lines[0].startswith(f"override: data.path: {folder / 'cats'} has ")


def test_faults_of_all_sections_are_told_at_once(desk: Desk) -> None:
    text = """
    experiment:
      data: {name: digits, augment: [crp], splitseed: 3}
      model: {name: classifier, cnn_layers: 99, activation: rellu}
      training: {epochs: 2.5, optimizer: {name: adam, momentum: 0.9, lr: fast}}
      sed: 3
    space:
      training.batch_size: {int: [64, 32]}
      training.lr: {float: [0, 1]}
      training.label_smoothing: {float: [0, 2]}
    constraints: {parameters: {max: -1}, flops: {max: 3}}
    search: {trials: 0, mode: max, sampler: {name: tpee}, scheduler: {reduction_factor: 1}}
    serch: {}
    """
    assert desk.refusal(desk.search, text, "training.epochs=x", "nothing", "seed=-1", "search.resources.gpu=two") == [
        "FILE: serch: unknown; did you mean search? legal: constraints, data, experiment, first, made_with, model, search, seed, space, training",
        "override: 'nothing' is not an override; legal: dotted.name=value",
        "FILE: data.augment.crp: unknown; did you mean crop? legal: crop, cutmix, cutout, flip, jitter, mixup, rotation, scale, translation, vertical_flip",
        "FILE: data.splitseed: unknown; did you mean split_seed? legal: augment, image_size, max_pixels, name, normalize, path, skip_unreadable, split_seed, test_fraction, train_limit, validation_fraction",
        "FILE: model.cnn_layers: 99 is out of range; legal: <= 64",
        "FILE: model.activation: 'rellu' is unknown; did you mean relu? legal: gelu, leaky_relu, mish, relu, silu",
        "override: training.epochs: 'x' is of the wrong type; legal: a whole number",
        "FILE: training.optimizer.lr: 'fast' is of the wrong type; legal: a number",
        "FILE: training.optimizer.momentum: adam has no momentum; legal: leave it out, or the name sgd or muon",
        "override: seed: -1 is out of range; legal: >= 0",
        "FILE: sed: unknown; did you mean seed? legal: data, model, seed, training",
        "FILE: space.training.label_smoothing: 2.0 is out of range; legal: < 1",
        "FILE: space.training.batch_size: int: low 64 is above high 32; legal: low <= high",
        "FILE: space.training.lr: training has no lr; did you mean training.optimizer.lr? legal: averaging, batch_size, beta, clip_norm, early_stopping, epochs, label_smoothing, optimizer, precision, schedule, threads",
        "FILE: constraints.parameters.max: -1 is out of range; legal: >= 0",
        "FILE: constraints.flops: unknown; legal: mult_adds, parameters",
        "FILE: search.mode: max seeks the worst val_loss; legal: min",
        "FILE: search.trials: 0 is out of range; legal: >= 1",
        "FILE: search.scheduler.reduction_factor: 1 is out of range; legal: > 1",
        "FILE: search.sampler.name: 'tpee' is unknown; did you mean tpe? legal: random, tpe",
        "override: search.resources.gpu: 'two' is no share of a GPU; legal: auto, 0 to 1 (from 0.0001), a whole number",
    ]  # fmt: skip


def test_sections_that_are_well_formed_are_checked_together_whatever_the_others_are(desk: Desk) -> None:
    assert desk.refusal(desk.experiment, EXPERIMENT, "model.name=nothing", "training.batch_size=5000", "seed=x") == [
        f"override: model.name: 'nothing' is unknown; legal: {', '.join(sorted(models.names()))}",
        "override: seed: 'x' is of the wrong type; legal: a whole number",
        "override: training.batch_size: 5000 is larger than the training set of 1294 images; legal: <= 1294",
    ]


def test_without_data_what_depends_on_the_images_is_not_checked(desk: Desk) -> None:
    text = (
        "data: {name: folder, path: /no/where, image_size: 8}\nmodel: {name: classifier}\nspace: {seed: {int: [0, 9]}}"
    )
    assert desk.search(text, with_data=False).sample.model.name == "classifier"
    assert desk.refusal(desk.search, text) == ["FILE: data.path: /no/where does not exist"]


def test_where_the_data_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGETUNE_DATA", "~/images")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root(Path("given")) == Path("given")
    assert data_root() == tmp_path / "images"
    monkeypatch.setenv("IMAGETUNE_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() == tmp_path / "cache" / "imagetune" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root() == tmp_path / ".cache" / "imagetune" / "data"


def test_loading_writes_nothing(tmp_path: Path) -> None:
    load_search("digits", root=tmp_path / "data")
    assert list(tmp_path.iterdir()) == []
