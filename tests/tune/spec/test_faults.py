"""Every fault of an experiment's fields, in plain words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import models
from tests.tune.spec.conftest import JARGON, Desk
from tune.spec import Experiment
from tune.spec.dotted import with_values
from tune.spec.pydantic_errors import validated

EXPERIMENT = "data: {name: digits}\nmodel: {name: mnist_mlr}\n"
MODELS, SORTED_MODELS = ", ".join(models.names()), ", ".join(sorted(models.names()))


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["data=null"], ["override: data: null is of the wrong type; legal: a mapping of names to values"]),
        (["data={}"], ["override: data.name: is missing; legal: digits, mnist, fashion_mnist, cifar10, cifar100, folder"]),
        (["data.name=digitz"], ["override: data.name: 'digitz' is not a data set; did you mean digits? legal: cifar10, cifar100, digits, fashion_mnist, folder, mnist"]),
        (["data.name=3"], ["override: data.name: 3 is of the wrong type; legal: a text"]),
        (['data.name="a\\nb"'], [r"override: data.name: 'a\nb' is not a data set; legal: cifar10, cifar100, digits, fashion_mnist, folder, mnist"]),
        (["data.validation_fraction=1"], ["override: data.validation_fraction: 1 is out of range; legal: < 1"]),
        (["data.validation_fraction=-0.1"], ["override: data.validation_fraction: -0.1 is out of range; legal: >= 0"]),
        (["data.validation_fraction=.nan"], ["override: data.validation_fraction: NaN is of the wrong type; legal: a finite number"]),
        (["data.split_seed=4294967296"], ["override: data.split_seed: 4294967296 is out of range; legal: < 4294967296"]),
        (["data.train_limit=0"], ["override: data.train_limit: 0 is out of range; legal: >= 1"]),
        (["data.skip_unreadable=1"], ["override: data.skip_unreadable: 1 is of the wrong type; legal: true or false"]),
        (["data.path=x"], ["override: data.path: 'x' goes with the data set folder, not with digits; legal: leave it out"]),
        (["data.image_size=8"], ["override: data.image_size: 8 goes with the data set folder, not with digits; legal: leave it out"]),
        (
            ["data.name=folder"],
            [
                "FILE: data.path: is missing, and the data set folder needs it; legal: your folder of images",
                "FILE: data.image_size: is missing, and the data set folder needs it; legal: the side in pixels to resize images to",
            ],
        ),
        (["data.normalize=7"], ["override: data.normalize: 7 is of the wrong type; legal: half, dataset, none, or a mapping with mean and std"]),
        (["data.normalize=[half]"], ['override: data.normalize: ["half"] is of the wrong type; legal: half, dataset, none, or a mapping with mean and std']),
        (["data.normalize=null"], ["override: data.normalize: null is of the wrong type; legal: half, dataset, none, or a mapping with mean and std"]),
        (["data.normalize=halff"], ["override: data.normalize: 'halff' is unknown; did you mean half? legal: dataset, half, none"]),
        (["data.normalize={mean: [0.5]}"], ["override: data.normalize.std: is missing; legal: a number per channel, or one for all"]),
        (["data.normalize.mean=[0.5]"], ["FILE: data.normalize.std: is missing; legal: a number per channel, or one for all"]),
        (["data.normalize={mean: 0.5, std: [a], foo: 1}"], [
            "override: data.normalize.mean: 0.5 is of the wrong type; legal: a list",
            "override: data.normalize.std.0: 'a' is of the wrong type; legal: a number",
            "override: data.normalize.foo: unknown; legal: mean, std",
        ]),
        (["data.normalize={mean: [0.5, 0.5], std: [1]}"], ["override: data.normalize.std: [1.0] and mean [0.5, 0.5] do not fit; legal: as many of each"]),
        (["data.normalize={mean: [0.5], std: [0]}"], ["override: data.normalize.std: [0.0] cannot be divided by; legal: numbers > 0"]),
        (["data.normalize={mean: [], std: []}"], [
            "override: data.normalize.mean: [] is empty; legal: a number per channel, or one for all",
            "override: data.normalize.std: [] cannot be divided by; legal: numbers > 0",
        ]),
        (["data.augment=flip"], ["override: data.augment: 'flip' is of the wrong type; legal: a list of names, or a mapping of names to options"]),
        (["data.augment=[[flip]]"], ['override: data.augment: [["flip"]] is of the wrong type; legal: a list of names, or a mapping of names to options']),
        (["data.augment=[{flip: null}]"], ['override: data.augment: [{"flip": null}] is of the wrong type; legal: a list of names, or a mapping of names to options']),
        (["data.augment=[flip, flip]"], ["override: data.augment: names flip more than once; legal: each once"]),
        (["data.augment=[crp, flop]"], [
            "override: data.augment.crp: unknown; did you mean crop? legal: crop, cutmix, cutout, flip, jitter, mixup, rotation, scale, translation, vertical_flip",
            "override: data.augment.flop: unknown; did you mean flip? legal: crop, cutmix, cutout, flip, jitter, mixup, rotation, scale, translation, vertical_flip",
        ]),
        (["data.augment={crop: {padding: -1, fil: 2}, flip: {p: 2}, 3: null}"], [
            "override: data.augment.flip.p: 2 is out of range; legal: <= 1",
            "override: data.augment.crop.padding: -1 is out of range; legal: >= 0",
            "override: data.augment.crop.fil: unknown; did you mean fill? legal: fill, mode, padding",
            "override: data.augment.3: unknown; legal: flip, vertical_flip, crop, rotation, translation, scale, jitter, cutout, mixup, cutmix",
        ]),
        (["data.augment={crop: 3}"], ["override: data.augment.crop: 3 is of the wrong type; legal: a mapping of names to values"]),
    ],
)  # fmt: skip
def test_faults_of_the_data(desk: Desk, overrides: list[str], lines: list[str]) -> None:
    assert desk.refusal(desk.experiment, EXPERIMENT, *overrides) == lines


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["model=classifier"], ["override: model: 'classifier' is of the wrong type; legal: a mapping of names to values"]),
        (["model=null"], ["override: model: null is of the wrong type; legal: a mapping of names to values"]),
        (["model={}"], [f"override: model.name: is missing; legal: {MODELS}"]),
        (["model={cnn_layers: 3}"], [f"override: model.name: is missing; legal: {MODELS}"]),
        (["model.name=classifer"], [f"override: model.name: 'classifer' is unknown; did you mean classifier? legal: {SORTED_MODELS}"]),
        (["model.name=null"], [f"override: model.name: null is unknown; legal: {SORTED_MODELS}"]),
        (["model.name=[a]"], [f'override: model.name: ["a"] is unknown; legal: {SORTED_MODELS}']),
        (["model.name=simple_cnn", "model.conv_chanels=[1]"], ["override: model.conv_chanels: unknown; did you mean conv_channels? legal: conv_channels, dropout, hidden_dim, name"]),
        (["model.name=simple_cnn", "model.conv_channels=[16, a, 0]", "model.hidden_dim=1.5", "model.dropout=1"], [
            "override: model.conv_channels.1: 'a' is of the wrong type; legal: a whole number",
            "override: model.conv_channels.2: 0 is out of range; legal: >= 1",
            "override: model.hidden_dim: 1.5 is of the wrong type; legal: a whole number",
            "override: model.dropout: 1 is out of range; legal: < 1",
        ]),
        (["model.name=simple_cnn", "model.conv_channels=[]"], ["override: model.conv_channels: [] is too short; legal: a list of at least 1"]),
        (["model.name=simple_cnn", "model.conv_channels=16"], ["override: model.conv_channels: 16 is of the wrong type; legal: a list"]),
        (["model.name=classifier", "model.activation=rellu", "model.residual=yes", "model.cnn_layers=65", "model.norm=null"], [
            "override: model.cnn_layers: 65 is out of range; legal: <= 64",
            "override: model.activation: 'rellu' is unknown; did you mean relu? legal: gelu, leaky_relu, mish, relu, silu",
            "override: model.residual: 'yes' is of the wrong type; legal: true or false",
            "override: model.norm: null is unknown; did you mean none? legal: batch, group, none",
        ]),
    ],
)  # fmt: skip
def test_faults_of_the_model(desk: Desk, overrides: list[str], lines: list[str]) -> None:
    assert desk.refusal(desk.experiment, EXPERIMENT, *overrides) == lines


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["training=3"], ["override: training: 3 is of the wrong type; legal: a mapping of names to values"]),
        (["training=null"], ["override: training: null is of the wrong type; legal: a mapping of names to values"]),
        (["training.optimizer=3"], ["override: training.optimizer: 3 is of the wrong type; legal: a mapping of names to values"]),
        (["training.epochs=true"], ["override: training.epochs: true is of the wrong type; legal: a whole number"]),
        (["training.epochs=1e2"], ["override: training.epochs: 100.0 is of the wrong type; legal: a whole number"]),
        (["training.epochs='10'"], ["override: training.epochs: '10' is of the wrong type; legal: a whole number"]),
        (["training.epochs="], ["override: training.epochs: null is of the wrong type; legal: a whole number"]),
        (["training.precision=float61"], ["override: training.precision: 'float61' is unknown; did you mean float16? legal: bfloat16, float16, float32"]),
        (["training.optimizer.name=sgdd"], ["override: training.optimizer.name: 'sgdd' is unknown; did you mean sgd? legal: adam, adamw, muon, sgd"]),
        (["training.optimizer.lr=0"], ["override: training.optimizer.lr: 0 is out of range; legal: > 0"]),
        (["training.optimizer.lr=.inf"], ["override: training.optimizer.lr: Infinity is of the wrong type; legal: a finite number"]),
        (["training.optimizer.momentum=0.9"], ["override: training.optimizer.momentum: adam has no momentum; legal: leave it out, or the name sgd or muon"]),
        (["training.optimizer={name: adamw, nesterov: true, lr: x}"], [
            "override: training.optimizer.lr: 'x' is of the wrong type; legal: a number",
            "override: training.optimizer.nesterov: adamw has no nesterov; legal: leave it out, or the name sgd",
        ]),
        (["training.optimizer={name: sgd, nesterov: true, amsgrad: true}"], [
            "override: training.optimizer.nesterov: needs momentum; legal: momentum > 0, or leave it out",
            "override: training.optimizer.amsgrad: sgd has no amsgrad; legal: leave it out, or the name adam or adamw",
        ]),
        (["training.optimizer={name: sgd, momentum: 0, nesterov: true}"], ["override: training.optimizer.nesterov: needs momentum; legal: momentum > 0, or leave it out"]),
        (["training.schedule.name=onecicle"], ["override: training.schedule.name: 'onecicle' is unknown; did you mean onecycle? legal: constant, cosine, multistep, onecycle, plateau, step"]),
        (["training.clip_norm=0"], ["override: training.clip_norm: 0 is out of range; legal: > 0"]),
        (["training.early_stopping=5"], ["override: training.early_stopping: 5 is of the wrong type; legal: a mapping of names to values"]),
        (["seed=-1"], ["override: seed: -1 is out of range; legal: >= 0"]),
        (["seed=9223372036854775808"], ["override: seed: 9223372036854775808 is out of range; legal: < 9223372036854775808"]),
    ],
)  # fmt: skip
def test_faults_of_the_training(desk: Desk, overrides: list[str], lines: list[str]) -> None:
    assert desk.refusal(desk.experiment, EXPERIMENT, *overrides) == lines


def test_missing_sections(desk: Desk) -> None:
    assert desk.refusal(desk.experiment, "training: {epochs: 3}") == [
        "FILE: data: is missing; legal: a mapping with a name",
        "FILE: model: is missing; legal: a mapping with a name",
    ]


def test_unknown_sections(desk: Desk) -> None:
    lines = desk.refusal(desk.experiment, EXPERIMENT + "sead: 3\n'a\\nb': {}\n")
    legal = "legal: constraints, data, experiment, first, made_with, model, search, seed, space, training"
    assert lines == [f"FILE: sead: unknown; did you mean seed? {legal}", rf"FILE: a\nb: unknown; {legal}"]
    beside = desk.refusal(desk.experiment, "experiment: {data: {name: digits}, model: {name: mnist_mlr}}\nseed: 3")
    assert beside == [f"FILE: seed: unknown; did you mean seed? {legal}"]


# -- any value anywhere

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=2)
    ),
    max_leaves=4,
)
FIELDS = [
    *(
        "data",
        "data.name",
        "data.path",
        "data.image_size",
        "data.validation_fraction",
        "data.normalize",
        "data.normalize.mean",
    ),
    *("data.augment", "data.augment.crop", "data.augment.crop.padding", "model", "model.name", "model.conv_channels"),
    *(
        "training",
        "training.epochs",
        "training.optimizer",
        "training.optimizer.momentum",
        "training.early_stopping",
        "seed",
    ),
]


@given(st.dictionaries(st.sampled_from(FIELDS), anything, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_at_any_field_is_taken_or_refused_in_plain_words(values: dict[str, Any]) -> None:
    tree = with_values({"data": {"name": "digits"}, "model": {"name": "simple_cnn"}}, dict(sorted(values.items())))
    _, problems = validated(Experiment, tree)
    lines = [str(problem) for problem in problems]
    assert len(lines) == len(set(lines))
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if "not legal here" in line or any(word in line for word in JARGON)]
