"""Every field of an experiment refuses what it cannot be, at its own place; other problems are not hidden."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel

import data
from tests.tune.spec.conftest import EXPERIMENT, Desk
from tune.spec import data_root, load_search
from tune.spec.data_spec import augment_class
from tune.spec.experiment import Experiment
from tune.spec.options.samplers import SAMPLERS
from tune.spec.options.schedulers import SCHEDULERS
from tune.spec.search_settings import SearchSettings

TRAIN_SIZE = 1438  # of the digits; 1294 without the validation images

FAULTS = {
    # the data
    "data=null": "data",
    "data.name=3": "data.name",
    "data.validation_fraction=-0.1": "data.validation_fraction",
    "data.validation_fraction=.nan": "data.validation_fraction",
    "data.split_seed=4294967296": "data.split_seed",
    "data.train_limit=0": "data.train_limit",
    "data.image_size=8": "data.image_size",
    "data={name: folder}": "data.path data.image_size",
    "data.normalize=[half]": "data.normalize",
    "data.normalize=null": "data.normalize",
    "data.normalize=halff": "data.normalize",
    "data.normalize={mean: [0.5]}": "data.normalize.std",
    "data.normalize={mean: 0.5, std: [a], foo: 1}": "data.normalize.mean data.normalize.std.0 data.normalize.foo",
    "data.normalize={mean: [0.5, 0.5], std: [1]}": "data.normalize.std",
    "data.normalize={mean: [0.5], std: [0]}": "data.normalize.std",
    "data.normalize={mean: [], std: []}": "data.normalize.mean data.normalize.std",
    "data.augment=[[flip]]": "data.augment",
    "data.augment=[{flip: null}]": "data.augment",
    "data.augment=[crp, flop]": "data.augment.crp data.augment.flop",
    "data.augment={crop: {padding: -1, fil: 2}, flip: {p: 2}, 3: null}": (
        "data.augment.flip.p data.augment.crop.padding data.augment.crop.fil data.augment.3"
    ),
    "data.augment={crop: 3}": "data.augment.crop",
    # the model
    "model=classifier": "model",
    "model=null": "model",
    "model={}": "model.name",
    "model={cnn_layers: 3}": "model.name",
    "model.name=classifer": "model.name",
    "model.name=null": "model.name",
    "model.name=[a]": "model.name",
    "model={name: simple_cnn, conv_chanels: [1]}": "model.conv_chanels",
    "model={name: simple_cnn, conv_channels: [16, a, 0], hidden_dim: 1.5, dropout: 1}": (
        "model.conv_channels.1 model.conv_channels.2 model.hidden_dim model.dropout"
    ),
    "model={name: simple_cnn, conv_channels: 16}": "model.conv_channels",
    "model={name: classifier, activation: rellu, residual: yes, cnn_layers: 65, norm: null}": (
        "model.cnn_layers model.activation model.residual model.norm"
    ),
    # the recipe; more in test_recipe.py
    "training=null": "training",
    "training.optimizer=3": "training.optimizer",
    "training.epochs=true": "training.epochs",
    "training.epochs=1e2": "training.epochs",
    "training.epochs='10'": "training.epochs",
    "training.epochs=": "training.epochs",
    "training.precision=float61": "training.precision",
    "training.optimizer.name=sgdd": "training.optimizer.name",
    "training.optimizer={name: adamw, nesterov: true, lr: x}": "training.optimizer.lr training.optimizer.nesterov",
    "training.optimizer={name: sgd, momentum: 0, nesterov: true}": "training.optimizer.nesterov",
    "training.clip_norm=0": "training.clip_norm",
    "training.early_stopping=5": "training.early_stopping",
    "seed=-1": "seed",
    "seed=9223372036854775808": "seed",
    # several fields that do not go together, and the images
    "data.train_limit=1295": "data.train_limit",
    "data.normalize={mean: [1, 2, 3], std: [1, 2, 3]}": "data.normalize",
    "model={name: classifier, cnn_layers: 6}": "model",
    "model={name: simple_cnn, conv_channels: [8, 8, 8, 8]}": "model",
}


@pytest.mark.parametrize("override", FAULTS)
def test_every_fault_is_told_at_its_field(desk: Desk, override: str) -> None:
    assert desk.faults(desk.experiment, EXPERIMENT, override) == [f"override: {f}" for f in FAULTS[override].split()]


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (("training.batch_size=1294", "data.validation_fraction=0.5"), "training.batch_size"),
        (("data.train_limit=100", "training.batch_size=101"), "training.batch_size"),
        (("data.validation_fraction=0.9951", "training.batch_size=1"), "data.validation_fraction"),
        (("data.validation_fraction=0", "training.early_stopping={}"), "data.validation_fraction"),
        (("data.name=cifar10", "data.normalize={mean: [1, 2], std: [1, 2]}"), "data.normalize"),
        (("model.name=vae", "training.label_smoothing=0.1"), "training.label_smoothing"),
        (("model.name=mnist_mlr", "training.beta=0.5"), "training.beta"),
    ],
)
def test_combinations_that_are_just_impossible(desk: Desk, overrides: tuple[str, ...], field: str) -> None:
    assert f"override: {field}" in desk.faults(desk.experiment, EXPERIMENT, *overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ("training.batch_size=1294",),
        ("data.validation_fraction=0", f"training.batch_size={TRAIN_SIZE}", f"data.train_limit={TRAIN_SIZE}"),
        ("data.validation_fraction=0.0007",),
        ("data.validation_fraction=0.993", "training.batch_size=10"),
        ("data.name=cifar10", "data.normalize={mean: [0.5], std: [0.5]}"),
        ("data.name=cifar10", "data.normalize={mean: [0.5, 0.5, 0.5], std: [0.5, 1, 2]}"),
        ("training.label_smoothing=0.1", "training.beta=1.0"),
        ("model={name: vae, cnn_layers: 2}", "training.label_smoothing=0.0", "training.beta=0.5"),
    ],
)
def test_combinations_that_are_just_possible(desk: Desk, overrides: tuple[str, ...]) -> None:
    assert desk.experiment(EXPERIMENT, *overrides).seed == 0


def test_missing_and_unknown_sections(desk: Desk) -> None:
    assert desk.faults(desk.experiment, "training: {epochs: 3}") == ["FILE: data", "FILE: model"]
    assert desk.faults(desk.experiment, EXPERIMENT + "sead: 3\n'a\\nb': {}\n") == ["FILE: sead", r"FILE: a\nb"]
    beside = "experiment: {data: {name: digits}, model: {name: mnist_mlr}}\nseed: 3"
    assert desk.faults(desk.experiment, beside) == ["FILE: seed"]


# -- the user's own images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of twenty images of 12 x 12 pixels."""
    for name in ("cats", "dogs"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(20):
            Image.fromarray(np.full((12, 12, 3), 5 * index, np.uint8)).save(tmp_path / "images" / name / f"{index}.png")
    return tmp_path / "images"


def test_the_users_own_images(desk: Desk, folder: Path) -> None:
    own = ("data.name=folder", f"data.path={folder}", "data.image_size=12", "data.validation_fraction=0.25")
    made = desk.experiment(EXPERIMENT, *own, "training.batch_size=24")
    assert made.data.source.path == str(folder)
    # 40 images: 8 are for the test, 8 of the other 32 for validation
    assert desk.faults(desk.experiment, EXPERIMENT, *own, "training.batch_size=25") == ["override: training.batch_size"]


def test_folders_that_cannot_be_used(desk: Desk, folder: Path) -> None:
    own = ("data.name=folder", "data.image_size=12")
    nowhere = desk.faults(desk.experiment, EXPERIMENT, *own, "data.path=/no/where", "training.epochs=0")
    assert nowhere == ["override: training.epochs", "override: data.path"]
    assert desk.faults(desk.experiment, EXPERIMENT, *own, f"data.path={folder / 'cats'}") == ["override: data.path"]


def test_a_data_set_is_looked_at_once_however_it_is_augmented(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    inspect = data.inspect

    def noted(source: data.Source, root: Path) -> data.DatasetInfo:
        looked.append(source)
        return inspect(source, root)

    monkeypatch.setattr(data, "inspect", noted)
    text = f"""
    experiment:
      data: {{name: folder, path: {folder}, image_size: 12}}
      model: {{name: mnist_mlr}}
      training: {{batch_size: 4}}
    space: {{data.augment.crop.padding: {{int: [1, 4]}}, data.normalize: {{choice: [half, none]}}}}
    first: [{", ".join(f"{{data.augment.crop.padding: {p}, data.normalize: none}}" for p in (1, 2, 3, 4))}]
    """
    assert len(desk.search(text).first) == 4
    assert len(looked) == 1


def test_a_record_is_read_without_its_images(desk: Desk) -> None:
    text = (
        "data: {name: folder, path: /no/where, image_size: 8}\nmodel: {name: classifier}\nspace: {seed: {int: [0, 9]}}"
    )
    assert desk.search(text, with_data=False).sample.model.name == "classifier"
    assert desk.faults(desk.search, text) == ["FILE: data.path"]


def test_loading_writes_nothing(tmp_path: Path) -> None:
    load_search("digits", root=tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_where_the_data_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGETUNE_DATA", "~/images")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root(Path("given")) == Path("given")
    assert data_root() == tmp_path / "images"
    monkeypatch.setenv("IMAGETUNE_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() == tmp_path / "cache" / "imagetune" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root() == tmp_path / ".cache" / "imagetune" / "data"


# -- everything at once


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
    faults = desk.faults(desk.search, text, "training.epochs=x", "nothing", "seed=-1", "search.resources.gpu=two")
    assert faults == [
        "FILE: serch",
        "override: 'nothing' is not an override; write dotted.name=value",
        *("FILE: data.augment.crp", "FILE: data.splitseed", "FILE: model.cnn_layers", "FILE: model.activation"),
        *("override: training.epochs", "FILE: training.optimizer.lr", "FILE: training.optimizer.momentum"),
        *("override: seed", "FILE: sed", "FILE: space.training.label_smoothing", "FILE: space.training.batch_size"),
        *("FILE: space.training.lr", "FILE: constraints.parameters.max", "FILE: constraints.flops"),
        *("FILE: search.mode", "FILE: search.trials", "FILE: search.scheduler.reduction_factor"),
        *("FILE: search.sampler.name", "override: search.resources.gpu"),
    ]


def test_valid_sections_are_checked_together_whatever_the_others_are(desk: Desk) -> None:
    faults = desk.faults(desk.experiment, EXPERIMENT, "model.name=nothing", "training.batch_size=5000", "seed=x")
    assert faults == ["override: model.name", "override: seed", "override: training.batch_size"]


def integers(schema: Any) -> Iterator[dict[str, Any]]:
    """The whole numbers in a JSON schema."""
    if isinstance(schema, dict) and schema.get("type") == "integer":
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from integers(inner)


def test_every_whole_number_has_a_largest_value() -> None:
    augmentations = [augment_class(name) for name in data.augmentation.names()]
    kinds: list[type[BaseModel]] = [
        Experiment,
        SearchSettings,
        *SAMPLERS.values(),
        *SCHEDULERS.values(),
        *augmentations,
    ]
    found = [number for kind in kinds for number in integers(kind.model_json_schema())]
    assert not [number for number in found if not {"maximum", "exclusiveMaximum"} & number.keys()]
    assert len(found) >= 75
