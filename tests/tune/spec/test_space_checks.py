"""Choices that fit nowhere, models that differ in their options, and spaces with nothing possible."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import LR, MODELS, MOMENTUM, OPTIMIZER, Desk, search

# -- the model itself searched


def test_options_that_only_some_models_have(desk: Desk) -> None:
    made = desk.search(search(MODELS, "model.hidden_dim: {int: [8, 9], when: {model.name: simple_cnn}}", model="{}"))
    assert [made.experiment(config).model.options().get("hidden_dim") for config in made.space.enumerate()] == [
        None,
        8,
        9,
    ]


def test_an_option_that_no_reachable_model_has(desk: Desk) -> None:
    made = search(MODELS, "model.cnn_layers: {int: [1, 2]}", model="{}")
    assert desk.refusal(desk.search, made) == [
        "FILE: space.model.cnn_layers: model has no cnn_layers; legal: conv_channels, dropout, hidden_dim, name"
    ]


def test_an_option_that_the_model_of_its_condition_does_not_have(desk: Desk) -> None:
    made = search(MODELS, "model.hidden_dim: {int: [8, 9], when: {model.name: mnist_mlr}}", model="{}")
    assert desk.refusal(desk.search, made) == ["FILE: space.model.hidden_dim: unknown; legal: name"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (search(MODELS, "model.hidden_dim: {int: [8, 9]}", model="{}"), ["FILE: space.model.name: 'mnist_mlr' fits no configuration: model.hidden_dim: unknown; legal: name"]),
        (search(MODELS, LR, model="{hidden_dim: 8}"), ["FILE: space.model.name: 'mnist_mlr' fits no configuration: model.hidden_dim: unknown; legal: name"]),
        (search(OPTIMIZER, MOMENTUM.replace(", when: {training.optimizer.name: sgd}", "")), ["FILE: space.training.optimizer.name: 'adam' fits no configuration: training.optimizer.momentum: adam has no momentum; legal: leave it out, or the name sgd or muon"]),
        (search(MODELS, LR, model="{fcn_layers: 2}"), [
            "FILE: space.model.name: 'mnist_mlr' fits no configuration: model.fcn_layers: unknown; legal: name",
            "FILE: space.model.name: 'simple_cnn' fits no configuration: model.fcn_layers: unknown; legal: conv_channels, dropout, hidden_dim, name",
        ]),
    ],
)  # fmt: skip
def test_a_choice_that_would_silently_never_be_drawn(desk: Desk, text: str, lines: list[str]) -> None:
    assert desk.refusal(desk.search, text) == lines


# -- whether anything is possible


def test_first_values_that_do_not_go_together_are_passed_over(desk: Desk) -> None:
    made = desk.search(
        search(
            "model.cnn_layers: {choice: [9, 6, 3]}",
            "training.batch_size: {choice: [3000, 1290]}",
        )
    )
    assert made.example["model.cnn_layers"] == 3
    assert made.example["training.batch_size"] <= 1294
    assert made.sample.model.options()["cnn_layers"] == 3


def test_a_possible_configuration_is_found_among_very_many_impossible_ones(desk: Desk) -> None:
    made = desk.search(
        search(
            "model.cnn_layers: {int: [4, 64]}",
            "training.batch_size: {int: [1, 9000]}",
            "training.optimizer.lr: {float: [0.1, 1]}",
        )
    )
    assert made.example["model.cnn_layers"] == 4


@pytest.mark.parametrize(
    ("domains", "line"),
    [
        (
            ["model.cnn_layers: {int: [6, 9]}"],
            'none of 4 configurations is possible; the first, {"model.cnn_layers": 6}: model: classifier: cnn_layers must be 1 to 4 for images of 8 x 8 pixels (got 6): every stage must shrink the feature map, and stage 5 would go from 3 to 3 pixels',
        ),
        (
            ["training.batch_size: {int: [2000, 3000], step: 100}"],
            'none of 11 configurations is possible; the first, {"training.batch_size": 2000}: training.batch_size: 2000 is larger than the training set of 1294 images; legal: <= 1294',
        ),
        (
            ["training.batch_size: {int: [2000, 9000]}", LR],
            'none of 1000 configurations is possible; the first, {"training.batch_size": 2000, "training.optimizer.lr": 0.0001}: '
            "training.batch_size: 2000 is larger than the training set of 1294 images; legal: <= 1294",
        ),
    ],
)  # fmt: skip
def test_a_space_in_which_nothing_is_possible(desk: Desk, domains: list[str], line: str) -> None:
    assert desk.refusal(desk.search, search(*domains)) == [f"FILE: space: {line}"]


def test_a_fault_that_all_configurations_share_is_told_at_its_field(desk: Desk) -> None:
    lines = desk.refusal(desk.search, search(LR, "training.batch_size: {choice: [4000]}"), "model.cnn_layers=9")
    assert (
        lines[0]
        == "FILE: space.training.batch_size: 4000 is larger than the training set of 1294 images; legal: <= 1294"
    )
    assert lines[1].startswith("FILE: model: classifier: cnn_layers must be 1 to 4 for images of 8 x 8 pixels (got 9)")
    assert len(lines) == 2


def test_a_faulty_domain_is_not_blamed_on_the_experiment(desk: Desk) -> None:
    assert desk.refusal(desk.search, search("model.name: {choice: mnist_mlr}", LR, model="{}")) == [
        "FILE: space.model.name: choice: 'mnist_mlr' is not a list of at least one value"
    ]
