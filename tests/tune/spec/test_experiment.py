"""Experiments: frozen, hashable, the same after a trip through YAML, and every fault of their fields in plain words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import models
from data import registry as datasets
from tests.tune.spec.conftest import JARGON, Desk
from tune.spec import DataSpec, Experiment, dump_yaml
from tune.spec.dotted import with_values
from tune.spec.experiment import model_spec_class
from tune.spec.files import parse_yaml
from tune.spec.translate import validated

EXPERIMENT = "data: {name: digits}\nmodel: {name: mnist_mlr}\n"


def test_the_least_experiment(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT)
    assert made == desk.experiment("experiment:\n  data: {name: digits}\n  model: {name: mnist_mlr}\n")
    assert made == desk.experiment(EXPERIMENT + "search:\nspace:\nconstraints:\nfirst:\nmade_with: {torch: '2'}\n")
    assert (made.data.validation_fraction, made.training.epochs, made.seed) == (0.1, 10, 0)


def test_an_experiment_is_a_value(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT, "data.augment={crop: {padding: 2}}", "data.normalize={mean: [0.5], std: [1]}")
    with pytest.raises(ValidationError, match="frozen"):
        made.seed = 3  # type: ignore[misc]
    assert {made: "found"}[Experiment.model_validate(made.to_tree())] == "found"


def test_every_default_is_written_out(desk: Desk) -> None:
    tree = desk.experiment(EXPERIMENT, "model.name=simple_cnn", "data.augment=[crop]").to_tree()
    assert tree["model"] == {"name": "simple_cnn", "conv_channels": [32, 64], "hidden_dim": 128, "dropout": 0.5}
    assert tree["data"]["augment"] == {"crop": {"padding": 4, "fill": 0}}
    assert tree["training"]["optimizer"] == {
        **{"name": "adam", "lr": 0.001, "weight_decay": 0.0, "momentum": None, "nesterov": False, "amsgrad": False}
    }


@pytest.mark.parametrize("name", models.names())
def test_every_models_options_are_its_specification(name: str) -> None:
    spec = model_spec_class(name).model_validate({"name": name})
    assert spec.options() == {option.name: option.default for option in models.options(name).values()}


# -- there and back

positive = st.floats(1e-12, 1e6)
fractions = st.floats(0, 0.99)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), min_size=1, max_size=10)


@st.composite
def data_trees(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(datasets.names()))
    channels = draw(st.integers(1, 3))
    per_channel = st.lists(positive, min_size=channels, max_size=channels)
    augment = {
        "flip": st.none() | st.fixed_dictionaries({}, optional={"p": st.floats(0, 1)}),
        "crop": st.none()
        | st.fixed_dictionaries({}, optional={"padding": st.integers(0, 9), "fill": st.integers(0, 255)}),
    }
    given_steps = draw(st.permutations(list(augment)))[: draw(st.integers(0, 2))]
    tree = {
        "name": name,
        "validation_fraction": draw(fractions),
        "test_fraction": draw(st.floats(0.01, 0.99)),
        "split_seed": draw(st.integers(0, 2**32 - 1)),
        "train_limit": draw(st.none() | st.integers(1, 10**9)),
        "skip_unreadable": draw(st.booleans()),
        "normalize": draw(
            st.sampled_from(["half", "dataset", "none"])
            | st.fixed_dictionaries({"mean": per_channel, "std": per_channel})
        ),
        "augment": draw(st.just(given_steps) | st.fixed_dictionaries({step: augment[step] for step in given_steps})),
    }
    return tree | ({"path": draw(texts), "image_size": draw(st.integers(1, 512))} if name == "folder" else {})


optimizers = st.fixed_dictionaries(
    {
        "name": st.just("sgd"),
        "lr": positive,
        "momentum": positive.map(lambda x: 0.5 + min(x, 0.4)),
        "nesterov": st.booleans(),
    },
    optional={"weight_decay": fractions},
) | st.fixed_dictionaries(
    {"name": st.sampled_from(["adam", "adamw"]), "lr": positive}, optional={"amsgrad": st.booleans()}
)
schedules = st.fixed_dictionaries(
    {"name": st.sampled_from(["constant", "step", "cosine", "onecycle"])},
    optional={
        "step_size": st.integers(1, 50),
        "gamma": st.floats(0.01, 1),
        "min_lr": fractions,
        "pct_start": st.floats(0.01, 0.99),
        "div_factor": st.floats(1, 1e6),
        "final_div_factor": st.floats(1, 1e6),
    },
)
stopping = st.none() | st.fixed_dictionaries({}, optional={"patience": st.integers(1, 50), "min_delta": fractions})
trainings = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 10**6),
        "batch_size": st.integers(1, 10**6),
        "optimizer": optimizers,
        "schedule": schedules,
        "label_smoothing": fractions,
        "clip_norm": st.none() | positive,
        "precision": st.sampled_from(["float32", "bfloat16"]),
        "early_stopping": stopping,
        "threads": st.none() | st.integers(1, 64),
    },
)
widths = st.lists(st.integers(1, 512), min_size=1, max_size=4)
model_trees = st.one_of(
    st.fixed_dictionaries({"name": st.just("mnist_mlr")}),
    st.fixed_dictionaries({"name": st.just("mnist_cnn")}, optional={"hidden_dims": widths, "dropout": fractions}),
    st.fixed_dictionaries({"name": st.just("simple_cnn")}, optional={"conv_channels": widths, "hidden_dim": st.integers(1, 512), "dropout": fractions}),
    st.fixed_dictionaries(
        {"name": st.just("classifier")},
        optional={
            "starting_channels": st.integers(1, 64),
            "cnn_layers": st.integers(1, 8),
            "activation": st.sampled_from(["mish", "relu", "gelu", "silu", "leaky_relu"]),
            "pooling": st.sampled_from(["fractional", "max", "average"]),
            "norm": st.sampled_from(["batch", "group", "none"]),
            "residual": st.booleans(),
        },
    ),
)  # fmt: skip
experiments = st.fixed_dictionaries(
    {"data": data_trees(), "model": model_trees}, optional={"training": trainings, "seed": st.integers(0, 2**63 - 1)}
)


def test_the_properties_cover_every_field() -> None:
    """A field that is added to the specification must be added above."""
    assert set(DataSpec.model_fields) == {
        *("name", "path", "image_size", "validation_fraction", "test_fraction", "split_seed"),
        *("train_limit", "skip_unreadable", "normalize", "augment"),
    }
    made = Experiment.model_validate({"data": {"name": "digits"}, "model": {"name": "mnist_mlr"}}).to_tree()
    assert set(made) == {"data", "model", "training", "seed"}
    assert set(made["training"]) == {
        *("epochs", "batch_size", "optimizer", "schedule", "label_smoothing", "clip_norm"),
        *("precision", "early_stopping", "threads"),
    }
    assert set(made["training"]["schedule"]) == {
        "name",
        "step_size",
        "gamma",
        "min_lr",
        "pct_start",
        "div_factor",
        "final_div_factor",
    }


@given(experiments)
@settings(deadline=None)
def test_the_same_after_a_trip_through_yaml(tree: dict[str, Any]) -> None:
    made = Experiment.model_validate(tree)
    text = dump_yaml(made.to_tree())
    again = Experiment.model_validate(parse_yaml(text, "f"))
    assert again == made
    assert hash(again) == hash(made)
    assert dump_yaml(again.to_tree()) == text
    assert Experiment.model_validate_json(json.dumps(made.to_tree())) == made


# -- faults


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
            "override: data.augment.crp: unknown; did you mean crop? legal: crop, flip",
            "override: data.augment.flop: unknown; did you mean flip? legal: crop, flip",
        ]),
        (["data.augment={crop: {padding: -1, fil: 2}, flip: {p: 2}, 3: null}"], [
            "override: data.augment.flip.p: 2 is out of range; legal: <= 1",
            "override: data.augment.crop.padding: -1 is out of range; legal: >= 0",
            "override: data.augment.crop.fil: unknown; did you mean fill? legal: fill, padding",
            "override: data.augment.3: unknown; legal: flip, crop",
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
        (["model={}"], ["override: model.name: is missing; legal: classifier, mnist_mlr, mnist_cnn, simple_cnn"]),
        (["model={cnn_layers: 3}"], ["override: model.name: is missing; legal: classifier, mnist_mlr, mnist_cnn, simple_cnn"]),
        (["model.name=classifer"], ["override: model.name: 'classifer' is unknown; did you mean classifier? legal: classifier, mnist_cnn, mnist_mlr, simple_cnn"]),
        (["model.name=null"], ["override: model.name: null is unknown; legal: classifier, mnist_cnn, mnist_mlr, simple_cnn"]),
        (["model.name=[a]"], ['override: model.name: ["a"] is unknown; legal: classifier, mnist_cnn, mnist_mlr, simple_cnn']),
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
        (["training.precision=float16"], ["override: training.precision: 'float16' is unknown; did you mean bfloat16? legal: bfloat16, float32"]),
        (["training.optimizer.name=sgdd"], ["override: training.optimizer.name: 'sgdd' is unknown; did you mean sgd? legal: adam, adamw, sgd"]),
        (["training.optimizer.lr=0"], ["override: training.optimizer.lr: 0 is out of range; legal: > 0"]),
        (["training.optimizer.lr=.inf"], ["override: training.optimizer.lr: Infinity is of the wrong type; legal: a finite number"]),
        (["training.optimizer.momentum=0.9"], ["override: training.optimizer.momentum: adam has no momentum; legal: leave it out, or the name sgd"]),
        (["training.optimizer={name: adamw, nesterov: true, lr: x}"], [
            "override: training.optimizer.lr: 'x' is of the wrong type; legal: a number",
            "override: training.optimizer.nesterov: adamw has no nesterov; legal: leave it out, or the name sgd",
        ]),
        (["training.optimizer={name: sgd, nesterov: true, amsgrad: true}"], [
            "override: training.optimizer.nesterov: needs momentum; legal: momentum > 0, or leave it out",
            "override: training.optimizer.amsgrad: sgd has no amsgrad; legal: leave it out, or the name adam or adamw",
        ]),
        (["training.optimizer={name: sgd, momentum: 0, nesterov: true}"], ["override: training.optimizer.nesterov: needs momentum; legal: momentum > 0, or leave it out"]),
        (["training.schedule.name=onecicle"], ["override: training.schedule.name: 'onecicle' is unknown; did you mean onecycle? legal: constant, cosine, onecycle, step"]),
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
