"""A search is the same after a trip through a file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings

from search_spaces import shipped
from tests.tune.spec.conftest import Desk
from tests.tune.spec.strategies import trees
from tune.spec import SearchSettings, SearchSpec, dump_yaml, load_search
from tune.spec.files import parse_yaml, read_tree

SPACES = [name for name, path in shipped().items() if read_tree(path).get("space")]


def again(spec: SearchSpec, folder: Path) -> SearchSpec:
    """The search from the file that is written for it, under its own name."""
    path = folder / f"{spec.name}.yaml"
    path.write_text(dump_yaml({**spec.to_tree(), "made_with": {"torch": "2"}}), encoding="utf-8")
    return load_search(str(path))


def check_same(spec: SearchSpec, folder: Path) -> None:
    found = again(spec, folder)
    assert found == spec
    assert list(found.space.domains) == list(spec.space.domains), "the order of drawing"
    assert dump_yaml(found.to_tree()) == dump_yaml(spec.to_tree())
    assert found.sample == spec.sample
    source = random.Random(0)
    for config in [spec.space.draw(source) for _ in range(20)]:
        assert found.experiment(config) == spec.experiment(config)


@pytest.mark.parametrize("name", SPACES)
def test_every_shipped_search_is_the_same_after_a_trip_through_a_file(name: str, tmp_path: Path) -> None:
    check_same(load_search(name), tmp_path)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("mnist_simple", ["model.name=mnist_mlr"]),
        ("mnist_simple", ["model.name=simple_cnn", "training.early_stopping=null"]),
        (
            "digits",
            ["training.optimizer={name: sgd, lr: 1, momentum: 0.9}", "search.trials=3", "constraints.parameters.min=1"],
        ),
        ("digits", ["model.activation=relu", "data.augment=[flip, crop]", "data.normalize={mean: [0.3], std: [1]}"]),
        (
            "cifar10_classifier",
            ["training.schedule={name: onecycle}", "search.scheduler={name: none}", "search.seed=4"],
        ),
    ],
)
def test_overridden_searches_too(name: str, overrides: list[str], tmp_path: Path) -> None:
    check_same(load_search(name, overrides), tmp_path)


@pytest.mark.parametrize(
    "space",
    [
        "training.label_smoothing: {float: [0, 0.5], step: 0.1}",
        "training.clip_norm: {float: [1, 4], step: 1.0}",
        "training.clip_norm: {float: [1, 4]}\n  seed: {int: [0, 9]}",
        "training.batch_size: {int: [1, 64], log: true}\n  seed: {int: [5, 5]}",
        "training.early_stopping.patience: {int: [1, 3]}",
        "training.optimizer.name: {choice: [adam, sgd]}\n  training.early_stopping.patience: {int: [1, 3], when: {training.optimizer.name: sgd}}",
        "training.optimizer.name: {choice: [adam, adamw, sgd]}\n  training.epochs: {int: [1, 3], when: {training.optimizer.name: [adam, sgd], seed: 0}}",
        "data.augment: {choice: [[], [flip, crop], {crop: {padding: 2}, flip: null}]}",
        "data.normalize: {choice: [half, none, {mean: [0.5], std: [1]}]}",
        "data.augment.crop.padding: {int: [1, 4]}",
        "training.optimizer: {choice: [{name: sgd, momentum: 0.9}, {lr: 0.1}]}",
        "model.name: {choice: [mnist_mlr, mnist_cnn]}\n  model.hidden_dims: {choice: [[64], [64, 32]], when: {model.name: mnist_cnn}}\n"
        "  seed: {int: [0, 3], when: {model.hidden_dims: [[64]]}}",
    ],
)
def test_every_kind_of_domain_too(desk: Desk, tmp_path: Path, space: str) -> None:
    text = f"experiment:\n  data: {{name: digits, augment: [flip]}}\n  model: {{name: mnist_mlr}}\nspace:\n  {space}\n"
    spec = desk.search(text)
    check_same(spec, tmp_path)
    check_same(
        desk.search(text + f"first: [{dict(spec.example)!r}]\n".replace("None", "null").replace("True", "true")),
        tmp_path,
    )


@given(trees(SearchSettings))
@settings(deadline=None)
def test_settings_are_the_same_after_a_trip_through_yaml(tree: dict[str, object]) -> None:
    made = SearchSettings.model_validate(tree)
    assert SearchSettings.model_validate(parse_yaml(dump_yaml(made.model_dump(mode="json")), "f")) == made
