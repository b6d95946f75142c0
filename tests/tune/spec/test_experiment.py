"""Experiments: frozen, hashable, the same after a trip through YAML, and every fault of their fields in plain words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import models
from data import registry as datasets
from tests.tune.spec.conftest import Desk
from tune.spec import DataSpec, Experiment, dump_yaml
from tune.spec.experiment import model_spec_class
from tune.spec.files import parse_yaml

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
    assert tree["data"]["augment"] == {"crop": {"padding": 4, "fill": 0, "mode": "constant"}}
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
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)


@st.composite
def data_trees(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(datasets.names()))
    channels = draw(st.integers(1, 3))
    per_channel = st.lists(positive, min_size=channels, max_size=channels)
    augment = {
        "flip": st.none() | st.fixed_dictionaries({}, optional={"p": st.floats(0, 1)}),
        "crop": st.none()
        | st.fixed_dictionaries(
            {}, optional={"padding": st.integers(0, 9), "mode": st.sampled_from(["constant", "reflect"])}
        ),
    }
    given_steps = draw(st.permutations(list(augment)))[: draw(st.integers(0, 2))]
    tree = {
        "name": name,
        "validation_fraction": draw(fractions),
        "test_fraction": draw(st.floats(0.01, 0.99)),
        "split_seed": draw(st.integers(0, 2**32 - 1)),
        "train_limit": draw(st.none() | st.integers(1, 10**9)),
        "skip_unreadable": draw(st.booleans()),
        "max_pixels": draw(st.integers(1, 10**9)),
        "normalize": draw(
            st.sampled_from(["half", "dataset", "none"])
            | st.fixed_dictionaries({"mean": per_channel, "std": per_channel})
        ),
        "augment": draw(st.just(given_steps) | st.fixed_dictionaries({step: augment[step] for step in given_steps})),
    }
    return tree | ({"path": draw(texts), "image_size": draw(st.integers(1, 512))} if name == "folder" else {})


optimizers = (
    st.fixed_dictionaries(
        {
            "name": st.just("sgd"),
            "lr": positive,
            "momentum": positive.map(lambda x: 0.5 + min(x, 0.4)),
            "nesterov": st.booleans(),
        },
        optional={"weight_decay": fractions},
    )
    | st.fixed_dictionaries(
        {"name": st.sampled_from(["adam", "adamw"]), "lr": positive}, optional={"amsgrad": st.booleans()}
    )
    | st.fixed_dictionaries({"name": st.just("muon"), "lr": positive}, optional={"momentum": fractions})
)
ascending = st.lists(st.integers(1, 200), min_size=1, max_size=4, unique=True).map(sorted)
gammas = st.floats(0.01, 1)
schedules = st.one_of(
    st.fixed_dictionaries({"name": st.just("constant")}),
    st.fixed_dictionaries({"name": st.just("step")}, optional={"step_size": st.integers(1, 50), "gamma": gammas}),
    st.fixed_dictionaries({"name": st.just("multistep"), "milestones": ascending}, optional={"gamma": gammas}),
    st.fixed_dictionaries(
        {"name": st.just("cosine")},
        optional={"min_lr": fractions, "warmup_epochs": st.floats(0, 0.9), "per_batch": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"name": st.just("onecycle")},
        optional={
            "pct_start": st.floats(0.01, 0.99),
            "div_factor": st.floats(1, 1e6),
            "final_div_factor": st.floats(1, 1e6),
            "cycle_momentum": st.booleans(),
        },
    ),
    st.fixed_dictionaries(
        {"name": st.just("plateau")},
        optional={"factor": st.floats(0.01, 0.9), "patience": st.integers(0, 50), "min_lr": fractions},
    ),
)
averagings = st.one_of(
    st.fixed_dictionaries({"name": st.just("none")}),
    st.fixed_dictionaries({"name": st.just("ema")}, optional={"decay": fractions}),
    st.fixed_dictionaries(
        {"name": st.just("swa")},
        optional={"start": fractions, "lr": st.none() | positive, "anneal_epochs": st.integers(1, 50)},
    ),
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
        "beta": positive,
        "clip_norm": st.none() | positive,
        "precision": st.sampled_from(["float32", "bfloat16", "float16"]),
        "averaging": averagings,
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
        *("train_limit", "skip_unreadable", "max_pixels", "normalize", "augment"),
    }
    made = Experiment.model_validate({"data": {"name": "digits"}, "model": {"name": "mnist_mlr"}}).to_tree()
    assert set(made) == {"data", "model", "training", "seed"}
    assert set(made["training"]) == {
        *("epochs", "batch_size", "optimizer", "schedule", "label_smoothing", "beta", "clip_norm"),
        *("precision", "averaging", "early_stopping", "threads"),
    }
    assert set(made["training"]["schedule"]) == {
        *("name", "step_size", "gamma", "milestones", "min_lr", "warmup_epochs", "per_batch", "pct_start"),
        *("div_factor", "final_div_factor", "cycle_momentum", "factor", "patience"),
    }
    assert set(made["training"]["averaging"]) == {"name", "decay", "start", "lr", "anneal_epochs"}


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
