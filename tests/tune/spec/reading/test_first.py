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
    ("first", "faults"),
    [
        ("{seed: 1}", "first"),
        ("[3, {}]", "first.0 first.1.training.optimizer.name first.1.model.cnn_layers"),
        (
            "[{training.optimizer.name: adam, model.cnn_layers: 2}, "
            "{training.optimizer.nam: sgd, training.optimizer.momentum: 2, model.cnn_layers: 1}]",
            "first.1.training.optimizer.nam first.1.training.optimizer.name first.1.model.cnn_layers "
            "first.1.training.optimizer.momentum",
        ),
        (
            "[{training.optimizer.name: sgd, training.optimizer.momentum: 2, model.cnn_layers: 2}]",
            "first.0.training.optimizer.momentum",
        ),
        (
            "[{training.optimizer.name: adam, model.cnn_layers: null}, "
            "{training.optimizer.name: [1], model.cnn_layers: 2}]",
            "first.0.model.cnn_layers first.1.training.optimizer.name",
        ),
        (
            "[{training: {optimizer: {name: adam}}}]",
            "first.0.training first.0.training.optimizer.name first.0.model.cnn_layers",
        ),
        ("[{training.optimizer.name: adam, model.cnn_layers: 6}]", "first.0"),  # no room for so many poolings
        (
            "[{training.optimizer.name: adam, model.cnn_layers: 4}]\nconstraints: {parameters: {min: 10, max: 1000}}",
            "first.0",
        ),
    ],
)
def test_configurations_that_are_not_good(desk: Desk, first: str, faults: str) -> None:
    text = search(OPTIMIZER, MOMENTUM, "model.cnn_layers: {int: [2, 9]}", more=f"first: {first}\n")
    assert desk.faults(desk.search, text) == [f"FILE: {field}" for field in faults.split()]


def test_a_fault_of_the_experiment_is_not_told_again_of_each_known_good_configuration(desk: Desk) -> None:
    text = search("seed: {int: [0, 9]}", more="first: [{seed: 1}, {seed: 2}, {seed: 10}]\n")
    assert desk.faults(desk.search, text, "training.epochs=0") == ["override: training.epochs", "FILE: first.2.seed"]


def test_overridden_and_idle_fields_are_passed_over_in_known_good_configurations(desk: Desk) -> None:
    first = "first: [{training.optimizer.name: sgd, training.optimizer.momentum: 0.9, seed: 1}]\n"
    text = search(OPTIMIZER, MOMENTUM, "seed: {int: [0, 9]}", more=first)
    assert desk.search(text, "training.optimizer.name=adam").first == ({"seed": 1},)
    assert desk.search(text, "seed=7").first == (
        {"training.optimizer.name": "sgd", "training.optimizer.momentum": 0.9},
    )
