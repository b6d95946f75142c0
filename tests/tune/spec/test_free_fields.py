"""Free fields against the experiment: names, values, conditions, and what overrides make of them."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import LR, MOMENTUM, OPTIMIZER, Desk, search
from tune.spec import SPLIT_FIELDS, DataSpec, split_problems


@pytest.mark.parametrize(
    ("domains", "lines"),
    [
        (["training.optimzer.lr: {float: [0.1, 1]}"], ["FILE: space.training.optimzer.lr: training has no optimzer; did you mean training.optimizer.lr? legal: averaging, batch_size, beta, clip_norm, early_stopping, epochs, label_smoothing, optimizer, precision, schedule, threads"]),
        (["optimizer.lr: {float: [0.1, 1]}"], ["FILE: space.optimizer.lr: there is no optimizer; did you mean training.optimizer.lr? legal: data, model, seed, training"]),
        (["training.epochs.most: {int: [1, 2]}"], ["FILE: space.training.epochs.most: training.epochs has no most; legal: no name below it"]),
        (["model.cnn_layer: {int: [1, 3]}"], ["FILE: space.model.cnn_layer: model has no cnn_layer; did you mean model.cnn_layers? legal: activation, cnn_layers, dropout, fcn_layers, final_channels, logit_scale, name, norm, pooling, residual, residual_layers, starting_channels"]),
        (["model.hidden_dim: {int: [1, 3]}"], ["FILE: space.model.hidden_dim: model has no hidden_dim; legal: activation, cnn_layers, dropout, fcn_layers, final_channels, logit_scale, name, norm, pooling, residual, residual_layers, starting_channels"]),
        (["data.augment.crp.padding: {int: [1, 3]}"], ["FILE: space.data.augment.crp.padding: data.augment has no crp; did you mean data.augment.crop.padding? legal: crop, cutmix, cutout, flip, jitter, mixup, rotation, scale, translation, vertical_flip"]),
        (["3: {int: [1, 2]}"], ["FILE: space.3: there is no 3; legal: data, model, seed, training"]),
        (["training: {choice: [{epochs: 3}]}"], ["FILE: space.training: is a section; legal: its fields, such as training.batch_size"]),
        (["training.optimizer: {choice: [{lr: 0.1}, {lr: 0.2}]}", LR], ["FILE: space.training.optimizer.lr: lies within training.optimizer, which is searched too; legal: one of the two"]),
        (["training.epochs: 3", "seed: {int: [2, 1]}"], [
            "FILE: space.training.epochs: 3 is not a domain; legal: a mapping with one of float, int, choice",
            "FILE: space.seed: int: low 2 is above high 1; legal: low <= high",
        ]),
        ([], ["FILE: space: has no free field; legal: at least one, or `train` the experiment"]),
    ],
)  # fmt: skip
def test_fields_that_there_are_not(desk: Desk, domains: list[str], lines: list[str]) -> None:
    assert desk.refusal(desk.search, search(*domains)) == lines


@pytest.mark.parametrize(
    ("domains", "lines"),
    [
        (["seed: {int: [-1, 3]}"], ["seed: -1 is out of range; legal: >= 0"]),
        (["training.label_smoothing: {float: [0, 1.5]}"], ["training.label_smoothing: 1.5 is out of range; legal: < 1"]),
        (["model.cnn_layers: {int: [0, 3]}"], ["model.cnn_layers: 0 is out of range; legal: >= 1"]),
        (["model.cnn_layers: {float: [1, 3]}"], ["model.cnn_layers: 1.0 is of the wrong type; legal: a whole number"]),
        (["model.cnn_layers: {choice: [2, three, 3.0]}"], [
            "model.cnn_layers: 'three' is of the wrong type; legal: a whole number",
            "model.cnn_layers: 3.0 is of the wrong type; legal: a whole number",
        ]),
        (["model.activation: {choice: [mish, rellu]}"], ["model.activation: 'rellu' is unknown; did you mean relu? legal: gelu, leaky_relu, mish, relu, silu"]),
        (["data.augment: {choice: [[], [flop], {crop: {padding: -2}}]}"], [
            "data.augment: flop: unknown; did you mean flip? legal: crop, cutmix, cutout, flip, jitter, mixup, rotation, scale, translation, vertical_flip",
            "data.augment: crop.padding: -2 is out of range; legal: >= 0",
        ]),
        (["training.early_stopping.patience: {int: [0, 2]}"], ["training.early_stopping.patience: 0 is out of range; legal: >= 1"]),
        (["training.optimizer.name: {choice: [adam, sgdd]}", LR, "training.epochs: {int: [0, 9]}"], [
            "training.optimizer.name: 'sgdd' is unknown; did you mean sgd? legal: adam, adamw, muon, sgd",
            "training.epochs: 0 is out of range; legal: >= 1",
        ]),
        ([OPTIMIZER, MOMENTUM.replace("0.99", "1.5")], ["training.optimizer.momentum: 1.5 is out of range; legal: < 1"]),
        ([OPTIMIZER, MOMENTUM, "training.optimizer.nesterov: {choice: [true, 2], when: {training.optimizer.name: sgd}}"], ["training.optimizer.nesterov: 2 is of the wrong type; legal: true or false"]),
    ],
)  # fmt: skip
def test_values_that_the_field_cannot_have(desk: Desk, domains: list[str], lines: list[str]) -> None:
    assert desk.refusal(desk.search, search(*domains)) == [f"FILE: space.{line}" for line in lines]


@pytest.mark.parametrize(
    ("when", "line"),
    [
        ("{training.optimiser.name: sgd}", "there is no field training.optimiser.name; did you mean training.optimizer.name? legal: a field of the experiment"),
        ("{training.optimizer.name: sgdd}", "training.optimizer.name can never be 'sgdd'; legal: 'adam', 'sgd'"),
        ("{training.batch_size: 129}", "training.batch_size is 128 and not searched, so that this never holds; legal: search it, or no condition"),
        ("{data.name: [mnist, cifar10]}", "data.name is 'digits' and not searched, so that this never holds; legal: search it, or no condition"),
        ("{training.early_stopping: {patience: 3}}", "training.early_stopping is null and not searched, so that this never holds; legal: search it, or no condition"),
        ("{seed: 5, training.optimizer.name: adam}", "asks for several values of training.optimizer.name at once, and never holds; legal: conditions that agree"),
    ],
)  # fmt: skip
def test_conditions_that_can_never_hold(desk: Desk, when: str, line: str) -> None:
    made = search(
        OPTIMIZER,
        f"training.epochs: {{int: [1, 2], when: {when}}}",
        "seed: {int: [1, 9], when: {training.optimizer.name: sgd}}",
    )
    assert desk.refusal(desk.search, made) == [f"FILE: space.training.epochs: when: {line}"]


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
    assert desk.refusal(desk.search, made) == [
        f"FILE: space.{field}: its `when` conditions lead back to itself"
        for field in ("seed", "training.epochs", "training.batch_size")
    ]


def test_a_chain_of_conditions(desk: Desk) -> None:
    made = desk.search(
        search(
            OPTIMIZER,
            MOMENTUM.replace("0.99]", "0.9], step: 0.1"),
            "training.optimizer.nesterov: {choice: [true, false], when: {training.optimizer.momentum: 0.9}}",
        )
    )
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
        assert desk.refusal(desk.search, text, override) == [
            "FILE: space.training.optimizer.name: 'adam' fits no configuration: training.optimizer.momentum: adam has no momentum; legal: leave it out, or the name sgd or muon"
        ]
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
    made = desk.search(
        search(OPTIMIZER, "training.early_stopping.patience: {int: [1, 3], when: {training.optimizer.name: sgd}}")
    )
    assert made.experiment({"training.optimizer.name": "adam"}).training.early_stopping is None
    stopping = made.experiment(
        {"training.optimizer.name": "sgd", "training.early_stopping.patience": 2}
    ).training.early_stopping
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
    assert [(p.field, "cannot be searched" in p.message) for p in desk.problems(desk.search, text)] == [
        (f"space.{field}", True)
    ]
    assert [p.field for p in desk.problems(desk.search, search(f"{field}: {{choise: [1]}}", LR))] == [f"space.{field}"]
    first = search(LR, more=f"first: [{{training.optimizer.lr: 0.001, {field}: 0}}]\n")
    assert [(p.field, "cannot be searched" in p.message) for p in desk.problems(desk.search, first)] == [
        (f"first.0.{field}", True)
    ]


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
