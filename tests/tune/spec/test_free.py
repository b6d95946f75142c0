"""Free fields against the experiment: names, conditions, values that fit nowhere, and spaces with nothing possible."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import Desk

LR = "training.optimizer.lr: {float: [1e-4, 1e-2], log: true}"
OPTIMIZER = "training.optimizer.name: {choice: [adam, sgd]}"
MOMENTUM = "training.optimizer.momentum: {float: [0.8, 0.99], when: {training.optimizer.name: sgd}}"
MODELS = "model.name: {choice: [mnist_mlr, simple_cnn]}"


def search(*domains: str, model: str = "{name: classifier, cnn_layers: 3, fcn_layers: 2}", more: str = "") -> str:
    space = "".join(f"  {domain}\n" for domain in domains)
    return f"experiment:\n  data: {{name: digits}}\n  model: {model}\nspace:\n{space}{more}"


@pytest.mark.parametrize(
    ("domains", "lines"),
    [
        (["training.optimzer.lr: {float: [0.1, 1]}"], ["FILE: space.training.optimzer.lr: training has no optimzer; did you mean training.optimizer.lr? legal: batch_size, clip_norm, early_stopping, epochs, label_smoothing, optimizer, precision, schedule, threads"]),
        (["optimizer.lr: {float: [0.1, 1]}"], ["FILE: space.optimizer.lr: there is no optimizer; did you mean training.optimizer.lr? legal: data, model, seed, training"]),
        (["training.epochs.most: {int: [1, 2]}"], ["FILE: space.training.epochs.most: training.epochs has no most; legal: no name below it"]),
        (["model.cnn_layer: {int: [1, 3]}"], ["FILE: space.model.cnn_layer: model has no cnn_layer; did you mean model.cnn_layers? legal: activation, cnn_layers, dropout, fcn_layers, final_channels, name, norm, pooling, residual, starting_channels"]),
        (["model.hidden_dim: {int: [1, 3]}"], ["FILE: space.model.hidden_dim: model has no hidden_dim; legal: activation, cnn_layers, dropout, fcn_layers, final_channels, name, norm, pooling, residual, starting_channels"]),
        (["data.augment.crp.padding: {int: [1, 3]}"], ["FILE: space.data.augment.crp.padding: data.augment has no crp; did you mean data.augment.crop.padding? legal: crop, flip"]),
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
        (["data.name: {choice: [digits, mnistt]}"], ["data.name: 'mnistt' is not a data set; did you mean mnist? legal: cifar10, cifar100, digits, fashion_mnist, folder, mnist"]),
        (["data.augment: {choice: [[], [flop], {crop: {padding: -2}}]}"], [
            "data.augment: flop: unknown; did you mean flip? legal: crop, flip",
            "data.augment: crop.padding: -2 is out of range; legal: >= 0",
        ]),
        (["training.early_stopping.patience: {int: [0, 2]}"], ["training.early_stopping.patience: 0 is out of range; legal: >= 1"]),
        (["training.optimizer.name: {choice: [adam, sgdd]}", LR, "training.epochs: {int: [0, 9]}"], [
            "training.optimizer.name: 'sgdd' is unknown; did you mean sgd? legal: adam, adamw, sgd",
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
            "FILE: space.training.optimizer.name: 'adam' fits no configuration: training.optimizer.momentum: adam has no momentum; legal: leave it out, or the name sgd"
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
        (search(OPTIMIZER, MOMENTUM.replace(", when: {training.optimizer.name: sgd}", "")), ["FILE: space.training.optimizer.name: 'adam' fits no configuration: training.optimizer.momentum: adam has no momentum; legal: leave it out, or the name sgd"]),
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
            "training.batch_size: {int: [1200, 3000]}",
            "data.train_limit: {choice: [1200, 1294]}",
        )
    )
    assert made.example["model.cnn_layers"] == 3
    assert made.example["training.batch_size"] <= made.example["data.train_limit"]
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
            'none of 4 configurations is possible; the first, {"model.cnn_layers": 6}: model: classifier: cnn_layers=6 cannot pool an image of side 8: '
            "stage 5 would go from 3 to 3 pixels, but needs out + 1 <= in; legal cnn_layers for this side: 1 to 4",
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
    assert lines[1].startswith("FILE: model: classifier: cnn_layers=9 cannot pool an image of side 8")
    assert len(lines) == 2


def test_a_faulty_domain_is_not_blamed_on_the_experiment(desk: Desk) -> None:
    assert desk.refusal(desk.search, search("model.name: {choice: mnist_mlr}", LR, model="{}")) == [
        "FILE: space.model.name: choice: 'mnist_mlr' is not a list of at least one value"
    ]
    assert desk.refusal(
        desk.search, search("data.path: {choise: [a]}", LR), "data.name=folder", "data.image_size=8"
    ) == ["FILE: space.data.path: has choise; legal: exactly one of float, int, choice"]


# -- known good configurations


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
        ("[{training: {optimizer: {name: adam}}}]", [
            "first.0.training: is not a field of this space; legal: model.cnn_layers, training.optimizer.momentum, training.optimizer.name",
            "first.0.training.optimizer.name: is missing; legal: 'adam', 'sgd'",
            "first.0.model.cnn_layers: is missing; legal: whole numbers from 2 to 9",
        ]),
        ("[{training.optimizer.name: adam, model.cnn_layers: 6}]", [
            "first.0: model: classifier: cnn_layers=6 cannot pool an image of side 8: stage 5 would go from 3 to 3 pixels, "
            "but needs out + 1 <= in; legal cnn_layers for this side: 1 to 4",
        ]),
        ("[{training.optimizer.name: adam, model.cnn_layers: 4}]\nconstraints: {parameters: {min: 10, max: 1000}}", ["first.0: has 438455 parameters, outside of constraints.parameters; legal: >= 10 and <= 1000"]),
    ],
)  # fmt: skip
def test_configurations_that_are_not_good(desk: Desk, first: str, lines: list[str]) -> None:
    text = search(OPTIMIZER, MOMENTUM, "model.cnn_layers: {int: [2, 9]}", more=f"first: {first}\n")
    assert desk.refusal(desk.search, text) == [f"FILE: {line}" for line in lines]


def test_overridden_and_idle_fields_are_passed_over_in_known_good_configurations(desk: Desk) -> None:
    first = "first: [{training.optimizer.name: sgd, training.optimizer.momentum: 0.9, seed: 1}]\n"
    text = search(OPTIMIZER, MOMENTUM, "seed: {int: [0, 9]}", more=first)
    assert desk.search(text, "training.optimizer.name=adam").first == ({"seed": 1},)
    assert desk.search(text, "seed=7").first == (
        {"training.optimizer.name": "sgd", "training.optimizer.momentum": 0.9},
    )
