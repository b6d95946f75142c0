"""Free fields against the experiment: names, values, conditions, and what overrides make of them."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import LR, MOMENTUM, OPTIMIZER, Desk, search
from tune.spec import SPLIT_FIELDS, DataSpec, split_problems


@pytest.mark.parametrize(
    ("domain", "field"),
    [
        ("training.optimzer.lr: {float: [0.1, 1]}", "training.optimzer.lr"),
        ("optimizer.lr: {float: [0.1, 1]}", "optimizer.lr"),
        ("training.epochs.most: {int: [1, 2]}", "training.epochs.most"),
        ("model.cnn_layer: {int: [1, 3]}", "model.cnn_layer"),
        ("model.hidden_dim: {int: [1, 3]}", "model.hidden_dim"),
        ("data.augment.crp.padding: {int: [1, 3]}", "data.augment.crp.padding"),
        ("3: {int: [1, 2]}", "3"),
        ("training.epochs: 3", "training.epochs"),
        ("seed: {int: [2, 1]}", "seed"),
        ("seed: {int: [-1, 3]}", "seed"),
        ("training.label_smoothing: {float: [0, 1.5]}", "training.label_smoothing"),
        ("model.cnn_layers: {int: [0, 3]}", "model.cnn_layers"),
        ("model.cnn_layers: {float: [1, 3]}", "model.cnn_layers"),
        ("model.activation: {choice: [mish, rellu]}", "model.activation"),
        ("training.early_stopping.patience: {int: [0, 2]}", "training.early_stopping.patience"),
        (MOMENTUM.replace("0.99", "1.5"), "training.optimizer.momentum"),
        (
            "training.optimizer.nesterov: {choice: [true, 2], when: {training.optimizer.name: sgd}}",
            "training.optimizer.nesterov",
        ),
    ],
)
def test_fields_and_values_that_there_are_not(desk: Desk, domain: str, field: str) -> None:
    momentum = [] if "momentum" in domain else [MOMENTUM]
    assert desk.faults(desk.search, search(OPTIMIZER, *momentum, domain)) == [f"FILE: space.{field}"]


def test_each_invalid_value_of_a_choice_is_told(desk: Desk) -> None:
    lines = desk.refusal(desk.search, search("model.cnn_layers: {choice: [2, three, 3.0]}"))
    assert ["'three'" in lines[0], "3.0" in lines[1], len(lines)] == [True, True, 2]
    lines = desk.refusal(desk.search, search("data.augment: {choice: [[], [flop], {crop: {padding: -2}}]}"))
    assert ["data.augment: flop: " in lines[0], "data.augment: crop.padding: " in lines[1]] == [True, True]
    assert len(lines) == 2


def test_several_faults_and_fields_within_each_other(desk: Desk) -> None:
    domains = ("training.optimizer.name: {choice: [adam, sgdd]}", LR, "training.epochs: {int: [0, 9]}")
    faults = desk.faults(desk.search, search(*domains))
    assert faults == ["FILE: space.training.optimizer.name", "FILE: space.training.epochs"]
    within = search("training.optimizer: {choice: [{lr: 0.1}, {lr: 0.2}]}", LR)
    assert desk.faults(desk.search, within) == ["FILE: space.training.optimizer.lr"]
    assert desk.faults(desk.search, search("training: {choice: [{epochs: 3}]}")) == ["FILE: space.training"]
    assert desk.faults(desk.search, search()) == ["FILE: space"]


@pytest.mark.parametrize(
    "when",
    [
        "{training.optimiser.name: sgd}",
        "{training.optimizer.name: sgdd}",
        "{training.batch_size: 129}",
        "{data.name: [mnist, cifar10]}",
        "{training.early_stopping: {patience: 3}}",
        "{seed: 5, training.optimizer.name: adam}",
    ],
)
def test_conditions_that_can_never_hold(desk: Desk, when: str) -> None:
    seed = "seed: {int: [1, 9], when: {training.optimizer.name: sgd}}"
    text = search(OPTIMIZER, f"training.epochs: {{int: [1, 2], when: {when}}}", seed)
    (line,) = desk.refusal(desk.search, text)
    assert line.startswith("FILE: space.training.epochs: when: ")


@pytest.mark.parametrize(
    "when",
    [
        "{training.batch_size: 128}",
        "{training.batch_size: [64, 128]}",
        "{data.name: digits}",
        "{data.validation_fraction: 0.1}",
        "{training.early_stopping: null}",
        "{model.activation: mish}",
        "{model.cnn_layers: 3, training.optimizer.name: sgd}",
    ],
)
def test_conditions_on_fixed_fields_and_their_defaults(desk: Desk, when: str) -> None:
    made = desk.search(search(OPTIMIZER, f"training.epochs: {{int: [1, 2], when: {when}}}"))
    config = made.space.canonical({"training.optimizer.name": "sgd", "training.epochs": 2})
    assert made.experiment(config).training.epochs == 2


def test_a_circle_of_conditions(desk: Desk) -> None:
    made = search(
        "seed: {int: [0, 1], when: {training.epochs: 1}}",
        "training.epochs: {int: [1, 2], when: {training.batch_size: 32}}",
        "training.batch_size: {int: [32, 33], when: {seed: 0}}",
        "training.clip_norm: {float: [1, 2], when: {seed: 0}}",
    )
    assert desk.faults(desk.search, made) == [
        f"FILE: space.{field}" for field in ("seed", "training.epochs", "training.batch_size")
    ]


def test_a_chain_of_conditions(desk: Desk) -> None:
    nesterov = "training.optimizer.nesterov: {choice: [true, false], when: {training.optimizer.momentum: 0.9}}"
    made = desk.search(search(OPTIMIZER, MOMENTUM.replace("0.99]", "0.9], step: 0.1"), nesterov))
    found = {
        (c["training.optimizer.name"], c.get("training.optimizer.momentum"), c.get("training.optimizer.nesterov"))
        for c in made.space.enumerate()
    }
    assert found == {("adam", None, None), ("sgd", 0.8, None), ("sgd", 0.9, True), ("sgd", 0.9, False)}
    assert all(
        made.experiment(config).training.optimizer.momentum == config.get("training.optimizer.momentum")
        for config in made.space.enumerate()
    )


# -- conditions and overrides


@pytest.mark.parametrize(
    ("override", "left"),
    [
        ("training.optimizer.name=sgd", ["training.optimizer.lr", "training.optimizer.momentum", "training.epochs"]),
        ("training.optimizer.name=adam", ["training.optimizer.lr"]),
        ("training.optimizer.name=adamw", ["training.optimizer.lr"]),
        ("training.optimizer.momentum=0.85", None),
    ],
)
def test_an_override_may_leave_fields_idle_for_ever(desk: Desk, override: str, left: list[str] | None) -> None:
    """They leave the space, with the fields that depend on them: the override was meant so."""
    chain = "training.epochs: {int: [1, 3], when: {training.optimizer.momentum: 0.9}}"
    text = search(LR, OPTIMIZER, MOMENTUM.replace("0.99]", "0.9], step: 0.1"), chain)
    if left is None:
        assert desk.faults(desk.search, text, override) == ["FILE: space.training.optimizer.name"]
    else:
        assert list(desk.search(text, override).space.domains) == left


def test_the_files_value_of_a_searched_field_holds_where_it_is_idle(desk: Desk) -> None:
    text = search(OPTIMIZER, "training.epochs: {int: [1, 3], when: {training.optimizer.name: sgd}}").replace(
        "space:", "  training: {epochs: 7}\nspace:"
    )
    made = desk.search(text)
    assert made.experiment({"training.optimizer.name": "adam"}).training.epochs == 7
    assert made.experiment({"training.optimizer.name": "sgd", "training.epochs": 2}).training.epochs == 2


def test_early_stopping_is_off_where_its_patience_is_idle(desk: Desk) -> None:
    patience = "training.early_stopping.patience: {int: [1, 3], when: {training.optimizer.name: sgd}}"
    made = desk.search(search(OPTIMIZER, patience))
    assert made.experiment({"training.optimizer.name": "adam"}).training.early_stopping is None
    config = {"training.optimizer.name": "sgd", "training.early_stopping.patience": 2}
    stopping = made.experiment(config).training.early_stopping
    assert stopping is not None
    assert stopping.patience == 2


# -- which images


IMAGES = {
    "data.name": "{choice: [digits, mnist]}",
    "data.path": "{choice: [a, b]}",
    "data.split_seed": "{int: [0, 9]}",
    "data.validation_fraction": "{choice: [0.1, 0]}",
    "data.test_fraction": "{float: [0.1, 0.5]}",
    "data.train_limit": "{int: [100, 200]}",
    "data.skip_unreadable": "{choice: [true, false]}",
    "data.max_pixels": "{int: [100, 200]}",
}


def test_every_field_of_the_data_is_either_searchable_or_not() -> None:
    searchable = {"data.image_size", "data.normalize", "data.augment"}
    assert {f"data.{name}" for name in DataSpec.model_fields} == searchable | set(IMAGES)
    assert set(SPLIT_FIELDS) == set(IMAGES) - {"data.path"}


@pytest.mark.parametrize("field", IMAGES)
def test_which_images_there_are_cannot_be_searched(desk: Desk, field: str) -> None:
    text = search(LR, f"{field}: {IMAGES[field]}", more=f"first: [{{training.optimizer.lr: 0.001, {field}: 0}}]\n")
    (line,) = desk.refusal(desk.search, text)
    assert line.startswith(f"FILE: space.{field}: cannot be searched")
    assert desk.faults(desk.search, search(f"{field}: {{choise: [1]}}", LR)) == [f"FILE: space.{field}"]
    first = search(LR, more=f"first: [{{training.optimizer.lr: 0.001, {field}: 0}}]\n")
    (line,) = desk.refusal(desk.search, first)
    assert line.startswith(f"FILE: first.0.{field}: cannot be searched")


@pytest.mark.parametrize("field", SPLIT_FIELDS)
def test_a_recorded_search_of_before_that_searched_them_can_be_read(desk: Desk, field: str) -> None:
    text = search(LR, f"{field}: {IMAGES[field]}")
    assert field in desk.search(text, with_data=False).space.domains
    fixed = "digits" if field == "data.name" else "false" if field == "data.skip_unreadable" else "0.2"
    if field in ("data.split_seed", "data.train_limit", "data.max_pixels"):
        fixed = "150"
    assert list(desk.search(text, f"{field}={fixed}").space.domains) == ["training.optimizer.lr"]


def test_the_seed_may_be_searched_to_measure_the_noise(desk: Desk) -> None:
    assert list(desk.search(search("seed: {int: [0, 4]}")).space.domains) == ["seed"]


def test_overrides_that_would_draw_the_test_images_anew() -> None:
    names = [*SPLIT_FIELDS, "data", "data.path", "data.augment", "training.epochs", "seed"]
    assert [problem.field for problem in split_problems(names)] == [*SPLIT_FIELDS, "data"]
