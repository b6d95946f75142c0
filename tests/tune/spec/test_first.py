"""Known good configurations: `first` in the file."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import MOMENTUM, OPTIMIZER, Desk, search


def test_known_good_configurations(desk: Desk) -> None:
    first = (
        "first: [{training.optimizer.name: sgd, training.optimizer.momentum: 0.9}, {training.optimizer.name: adam}]\n"
    )
    made = desk.search(search(OPTIMIZER, MOMENTUM, more=first))
    assert made.first == (
        {"training.optimizer.name": "sgd", "training.optimizer.momentum": 0.9},
        {"training.optimizer.name": "adam"},
    )


@pytest.mark.parametrize(
    ("first", "lines"),
    [
        ("{seed: 1}", ['first: {"seed": 1} is of the wrong type; legal: a list of configurations']),
        ("[3, {}]", [
            "first.0: 3 is of the wrong type; legal: a mapping of dotted fields to values",
            "first.1.training.optimizer.name: is missing; legal: 'adam', 'sgd'",
            "first.1.model.cnn_layers: is missing; legal: whole numbers from 2 to 9",
        ]),
        ("[{training.optimizer.name: adam, model.cnn_layers: 2}, {training.optimizer.nam: sgd, training.optimizer.momentum: 2, model.cnn_layers: 1}]", [
            "first.1.training.optimizer.nam: is not a field of this space; did you mean training.optimizer.name? legal: model.cnn_layers, training.optimizer.momentum, training.optimizer.name",
            "first.1.training.optimizer.name: is missing; legal: 'adam', 'sgd'",
            "first.1.model.cnn_layers: 1 is outside of its domain; legal: whole numbers from 2 to 9",
            "first.1.training.optimizer.momentum: 2 is given, but its `when` does not hold",
        ]),
        ("[{training.optimizer.name: sgd, training.optimizer.momentum: 2, model.cnn_layers: 2}]", ["first.0.training.optimizer.momentum: 2 is outside of its domain; legal: 0.8 to 0.99"]),
        ("[{training.optimizer.name: adam, model.cnn_layers: null}, {training.optimizer.name: [1], model.cnn_layers: 2}]", [
            "first.0.model.cnn_layers: null is outside of its domain; legal: whole numbers from 2 to 9",
            "first.1.training.optimizer.name: [1] is outside of its domain; legal: 'adam', 'sgd'",
        ]),
        ("[{training: {optimizer: {name: adam}}}]", [
            "first.0.training: is not a field of this space; legal: model.cnn_layers, training.optimizer.momentum, training.optimizer.name",
            "first.0.training.optimizer.name: is missing; legal: 'adam', 'sgd'",
            "first.0.model.cnn_layers: is missing; legal: whole numbers from 2 to 9",
        ]),
        ("[{training.optimizer.name: adam, model.cnn_layers: 6}]", [
            "first.0: model: classifier: cnn_layers must be 1 to 4 for images of 8 x 8 pixels (got 6): every stage must shrink the feature map, and stage 5 would go from 3 to 3 pixels",
        ]),
        ("[{training.optimizer.name: adam, model.cnn_layers: 4}]\nconstraints: {parameters: {min: 10, max: 1000}}", ["first.0: has 438455 parameters, outside of constraints.parameters; legal: >= 10 and <= 1000"]),
    ],
)  # fmt: skip
def test_configurations_that_are_not_good(desk: Desk, first: str, lines: list[str]) -> None:
    text = search(OPTIMIZER, MOMENTUM, "model.cnn_layers: {int: [2, 9]}", more=f"first: {first}\n")
    assert desk.refusal(desk.search, text) == [f"FILE: {line}" for line in lines]


def test_a_fault_of_the_experiment_is_not_told_again_of_each_known_good_configuration(desk: Desk) -> None:
    text = search("seed: {int: [0, 9]}", more="first: [{seed: 1}, {seed: 2}, {seed: 10}]\n")
    assert desk.refusal(desk.search, text, "training.epochs=0") == [
        "override: training.epochs: 0 is out of range; legal: >= 1",
        "FILE: first.2.seed: 10 is outside of its domain; legal: whole numbers from 0 to 9",
    ]


def test_overridden_and_idle_fields_are_passed_over_in_known_good_configurations(desk: Desk) -> None:
    first = "first: [{training.optimizer.name: sgd, training.optimizer.momentum: 0.9, seed: 1}]\n"
    text = search(OPTIMIZER, MOMENTUM, "seed: {int: [0, 9]}", more=first)
    assert desk.search(text, "training.optimizer.name=adam").first == ({"seed": 1},)
    assert desk.search(text, "seed=7").first == (
        {"training.optimizer.name": "sgd", "training.optimizer.momentum": 0.9},
    )
