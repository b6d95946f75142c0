"""Experiments: frozen, hashable, and equal after being written and read as YAML."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

import models
from tests.tune.spec.conftest import EXPERIMENT, Desk
from tests.tune.spec.strategies import experiments
from tune.spec import Experiment, dump_yaml
from tune.spec.experiment import model_spec_class
from tune.spec.files import parse_yaml


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
        **{"name": "adam", "lr": 0.001, "weight_decay": 0.0, "momentum": None, "nesterov": False, "amsgrad": False},
        **{"bias_lr_factor": 1.0, "decay": "all"},
    }


@pytest.mark.parametrize("name", models.names())
def test_every_models_options_are_its_specification(name: str) -> None:
    spec = model_spec_class(name).model_validate({"name": name})
    assert spec.options() == {option.name: option.default for option in models.options(name).values()}


# -- there and back


@given(experiments)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_after_a_trip_through_yaml(tree: dict[str, Any]) -> None:
    made = Experiment.model_validate(tree)
    text = dump_yaml(made.to_tree())
    again = Experiment.model_validate(parse_yaml(text, "f"))
    assert again == made
    assert hash(again) == hash(made)
    assert dump_yaml(again.to_tree()) == text
    assert Experiment.model_validate_json(json.dumps(made.to_tree())) == made
