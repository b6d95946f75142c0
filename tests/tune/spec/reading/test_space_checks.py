"""Choices that fit nowhere, models that differ in their options, and spaces with nothing possible."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import LR, MODELS, Desk, search

# -- the model itself searched


def test_options_that_only_some_models_have(desk: Desk) -> None:
    made = desk.search(search(MODELS, "model.hidden_dim: {int: [8, 9], when: {model.name: simple_cnn}}", model="{}"))
    found = [made.experiment(config).model.options().get("hidden_dim") for config in made.space.enumerate()]
    assert found == [None, 8, 9]


@pytest.mark.parametrize(
    ("domain", "model", "faults"),
    [
        ("model.cnn_layers: {int: [1, 2]}", "{}", ["model.cnn_layers"]),
        ("model.hidden_dim: {int: [8, 9], when: {model.name: mnist_mlr}}", "{}", ["model.hidden_dim"]),
        ("model.hidden_dim: {int: [8, 9]}", "{}", ["model.name"]),
        (LR, "{hidden_dim: 8}", ["model.name"]),
        (LR, "{fcn_layers: 2}", ["model.name", "model.name"]),
    ],
)
def test_what_would_silently_never_be_drawn(desk: Desk, domain: str, model: str, faults: list[str]) -> None:
    assert desk.faults(desk.search, search(MODELS, domain, model=model)) == [f"FILE: space.{f}" for f in faults]


# -- whether anything is possible


def test_first_values_that_do_not_go_together_are_passed_over(desk: Desk) -> None:
    made = desk.search(search("model.cnn_layers: {choice: [9, 6, 3]}", "training.batch_size: {choice: [3000, 1290]}"))
    assert made.example["model.cnn_layers"] == 3
    assert made.example["training.batch_size"] <= 1294
    assert made.sample.model.options()["cnn_layers"] == 3


def test_a_possible_configuration_is_found_among_very_many_impossible_ones(desk: Desk) -> None:
    sizes = ("model.cnn_layers: {int: [4, 64]}", "training.batch_size: {int: [1, 9000]}")
    made = desk.search(search(*sizes, "training.optimizer.lr: {float: [0.1, 1]}"))
    assert made.example["model.cnn_layers"] == 4


@pytest.mark.parametrize(
    ("domains", "tried", "field"),
    [
        (["model.cnn_layers: {int: [6, 9]}"], 4, "model"),
        (["training.batch_size: {int: [2000, 3000], step: 100}"], 11, "training.batch_size"),
        (["training.batch_size: {int: [2000, 9000]}", LR], 1000, "training.batch_size"),
    ],
)
def test_a_space_in_which_nothing_is_possible(desk: Desk, domains: list[str], tried: int, field: str) -> None:
    (line,) = desk.refusal(desk.search, search(*domains))
    assert line.startswith(f"FILE: space: none of {tried:,} configurations can be trained; the first, ")
    assert f": {field}: " in line


def test_a_fault_that_all_configurations_share_is_told_at_its_field(desk: Desk) -> None:
    faults = desk.faults(desk.search, search(LR, "training.batch_size: {choice: [4000]}"), "model.cnn_layers=9")
    assert faults == ["FILE: space.training.batch_size", "FILE: model"]


def test_a_faulty_domain_is_not_blamed_on_the_experiment(desk: Desk) -> None:
    text = search("model.name: {choice: mnist_mlr}", LR, model="{}")
    assert desk.faults(desk.search, text) == ["FILE: space.model.name"]
