"""The shipped spaces: as published, and every sample of them a network that can be built and trained."""

from __future__ import annotations

import itertools
import random
from functools import cache
from typing import Any

import pytest

import models
from search_spaces import Choice, Float, Int, config_key, shipped
from tune.spec import load_experiment, load_search
from tune.spec.checks.experiment import check_experiment
from tune.spec.checks.images import inspect_data
from tune.spec.checks.search import check_constraints
from tune.spec.experiment import ModelSpec
from tune.spec.files import read_tree
from tune.spec.options.schedulers import AshaSpec

SPACES = [name for name, path in shipped().items() if read_tree(path).get("space")]
FIXED = [name for name in shipped() if name not in SPACES]
SAMPLES = 60


@cache
def buildable(model: ModelSpec, input_shape: tuple[int, int, int], classes: int) -> bool:
    return (
        sum(p.numel() for p in models.build_meta(model.name, input_shape, classes, **model.options()).parameters()) > 0
    )


def test_samples_of_every_space_can_be_trained() -> None:
    drawn = impossible = 0
    for name in SPACES:
        spec, source = load_search(name), random.Random(name)
        for _ in range(SAMPLES):
            config = spec.space.draw(source)
            assert spec.space.problems(config) == []
            experiment = spec.experiment(config)
            info = inspect_data(experiment.data)
            assert buildable(experiment.model, info.input_shape, len(info.classes))
            drawn += 1
            impossible += bool(check_experiment(experiment, info))
    assert len(SPACES) == 14
    assert drawn == SAMPLES * len(SPACES)
    assert impossible == 0


@pytest.mark.parametrize("name", SPACES)
def test_the_ends_of_every_domain_are_possible_too(name: str) -> None:
    spec = load_search(name)
    seen = 0
    for field, domain in spec.space.domains.items():
        premises = {parent: values[0] for parent, values in spec.space.premises(field).items()}
        for end in domain.ends:
            experiment = spec.experiment(spec.space.fill({**spec.example, **premises, field: end}))
            assert check_experiment(experiment, inspect_data(experiment.data)) == []
            seen += 1
    assert seen >= 2 * len(spec.space.domains) - 1


def test_the_published_space() -> None:
    spec = load_search("cifar10_classifier")
    assert spec.space.domains == {
        "training.optimizer.lr": Choice((0.001, 0.002, 0.003, 0.004)),
        "model.fcn_layers": Int(4, 5),
        "model.cnn_layers": Int(5, 6),
        "model.starting_channels": Int(32, 48, step=2),
        "model.final_channels": Int(128, 256, step=2),
        "training.batch_size": Int(100, 300, step=25),
    }
    assert spec.space.size_limit == 4 * 2 * 2 * 9 * 65 * 9
    assert (spec.search.trials, spec.search.concurrent, spec.search.metric) == (150, 2, "val_loss")
    assert spec.search.scheduler == AshaSpec(type="stopping", max_t=40, grace_period=5, reduction_factor=3)
    sample = spec.sample
    assert (sample.training.epochs, sample.training.optimizer.name, sample.data.normalize) == (50, "adam", "half")
    assert sample.data.augment == ()


def test_the_published_winner_is_in_it() -> None:
    spec = load_search("cifar10_classifier")
    winner = {
        **{"training.optimizer.lr": 0.001, "training.batch_size": 125, "model.cnn_layers": 6},
        **{"model.fcn_layers": 4, "model.final_channels": 210, "model.starting_channels": 46},
    }
    assert spec.space.problems(winner) == []
    model = spec.experiment(winner).model
    assert models.cost_of(model.name, (3, 32, 32), 10, **model.options()).parameters == 875_592


def test_the_earlier_wider_space() -> None:
    assert load_search("cifar10_classifier_wide").space.domains == {
        "training.optimizer.lr": Float(1e-5, 7e-3, log=True),
        "model.fcn_layers": Int(4, 7),
        "model.cnn_layers": Int(4, 7),
        "model.starting_channels": Int(12, 48),
        "model.final_channels": Int(131, 384),
        "training.batch_size": Int(100, 250),
    }


def test_the_space_over_models_draws_each_of_them_with_its_own_fields() -> None:
    spec, source = load_search("mnist_simple"), random.Random(0)
    fields = {}
    for config in (spec.space.draw(source) for _ in range(100)):
        fields[config["model.name"]] = {field for field in config if field.startswith("model.")}
    own = {"model.name", "model.conv_channels", "model.hidden_dim"}
    assert fields == {"mnist_mlr": {"model.name"}, "mnist_cnn": {"model.name"}, "simple_cnn": own}


def test_the_quickstart_keeps_to_its_constraints_often_enough() -> None:
    """Where draws outside of the constraints are the rule, the sampler has little to go by."""
    spec, source = load_search("digits"), random.Random(0)
    kept = 0
    for config in (spec.space.draw(source) for _ in range(40)):
        experiment = spec.experiment(config)
        kept += not list(check_constraints(spec.constraints, experiment, inspect_data(experiment.data)))
    assert kept >= 30


def test_the_later_augmented_recipe() -> None:
    spec, published = load_search("cifar10_classifier_augmented"), load_search("cifar10_classifier")
    assert spec.space.domains == published.space.domains
    training, data = spec.sample.training, spec.sample.data
    assert (training.optimizer.name, training.optimizer.amsgrad) == ("adam", True)
    assert (training.schedule.name, training.schedule.patience) == ("plateau", 4)
    assert training.schedule.factor == pytest.approx(1 / 3, abs=1e-6)
    assert [name for name, _ in data.augment] == ["flip", "rotation", "jitter", "crop"]
    assert '"padding":8' in dict(data.augment)["crop"]
    assert spec.search.scheduler == AshaSpec(type="stopping", max_t=90, grace_period=12, reduction_factor=2, brackets=2)


def test_the_front_of_mnist_begins_at_the_published_networks() -> None:
    """v2 and v3 exactly as they are trained alone, and nothing larger than v1."""
    spec = load_search("mnist_front")
    assert spec.search.objective.text == "val_accuracy and parameters"
    info = inspect_data(spec.sample.data)
    for config, name in zip(spec.first, ("mnist_v2", "mnist_v3"), strict=True):
        ours, published = spec.experiment(config), load_experiment(name)
        assert (ours.training, ours.data, ours.seed) == (published.training, published.data, published.seed)
        costs = [
            models.cost_of(one.model.name, info.input_shape, 10, **one.model.options()) for one in (ours, published)
        ]
        assert costs[0] == costs[1]
    largest = models.cost_of("mnist_v1", info.input_shape, 10).parameters
    assert spec.constraints.parameters is not None
    assert spec.constraints.parameters.max == largest


def test_no_network_of_mnist_small_reaches_5000_parameters() -> None:
    space = load_search("mnist_small").space
    names = [name for name in space.domains if name.startswith("model.")]
    assert len(names) == 8
    sized = [name for name in names if name not in ("model.activation", "model.dropout")]  # those have no weights
    counts = [
        parameters(dict(zip((name.removeprefix("model.") for name in sized), ends, strict=True)))
        for ends in itertools.product(*(space.domains[name].ends for name in sized))
    ]
    assert len(counts) == 2**6
    assert max(counts) == 4_968  # as published of v3


def parameters(options: dict[str, Any]) -> int:
    return sum(p.numel() for p in models.build_meta("mnist_small", (1, 28, 28), 10, **options).parameters())


@pytest.mark.parametrize(("name", "most"), [("cifar10_residual", 875_592), ("mnist_under_5k", 4_999)])
def test_beyond_has_no_more_parameters_than_it_may(name: str, most: int) -> None:
    spec, source = load_search(name), random.Random(0)
    assert spec.constraints.parameters is not None
    assert spec.constraints.parameters.max == most
    kept = 0
    for config in (spec.space.draw(source) for _ in range(40)):
        experiment = spec.experiment(config)
        kept += not list(check_constraints(spec.constraints, experiment, inspect_data(experiment.data)))
    assert kept >= 30


def test_the_residual_classifier_is_residual() -> None:
    assert load_search("cifar10_residual").sample.model.options()["residual"] is True


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_the_testbed_holds_every_classifier_on_every_data_set(name: str) -> None:
    spec, source = load_search("testbed", [f"data.name={name}"]), random.Random(0)
    (choice,) = (domain for field, domain in spec.space.domains.items() if field == "model.name")
    classifiers = {model for model in models.names() if models.get(model).task == "classification"}
    assert isinstance(choice, Choice)
    assert set(choice.options) == classifiers
    seen = set()
    for config in (spec.space.draw(source) for _ in range(100)):
        experiment = spec.experiment(config)
        info = inspect_data(experiment.data)
        assert check_experiment(experiment, info) == []
        assert buildable(experiment.model, info.input_shape, len(info.classes))
        own = {field.removeprefix("model.") for field in config if field.startswith("model.")} - {"name"}
        assert own <= set(models.options(experiment.model.name))
        seen.add(experiment.model.name)
    assert seen == classifiers


def test_the_recipe_space_searches_the_recipe_alone() -> None:
    spec = load_search("cifar10_recipe")
    fields = {field for field in spec.space.domains if not field.startswith("training.")}
    assert fields == {"data.augment"}
    assert len(spec.space.domains) >= 10


def test_shipped_experiments_say_everything_themselves() -> None:
    """So that a later default changes no published run."""
    for name in FIXED:
        tree = read_tree(shipped()[name])["experiment"]
        assert {"name", "validation_fraction", "split_seed", "normalize", "augment"} == set(tree["data"])
        assert tree["data"]["split_seed"] == 42
        own = {"classification": "label_smoothing", "reconstruction": "beta"}[models.get(tree["model"]["name"]).task]
        fields = {"epochs", "batch_size", "optimizer", "schedule", own, "precision", "early_stopping"}
        assert fields <= set(tree["training"])
        assert {"name", "lr", "weight_decay"} <= set(tree["training"]["optimizer"])
        assert tree["seed"] == 0
        assert set(tree["model"]) - {"name"} == set(models.options(tree["model"]["name"]))


def test_shipped_experiments_can_be_trained() -> None:
    assert len(FIXED) == 20
    assert len(FIXED) == len(list((shipped()["digits"].parent / "fixed").glob("*.yaml")))
    for name in FIXED:
        experiment = load_experiment(name)
        info = inspect_data(experiment.data)
        assert buildable(experiment.model, info.input_shape, len(info.classes))


def test_a_sample_is_drawn_alike_from_a_seed() -> None:
    for name in SPACES:
        space = load_search(name).space
        assert config_key(space.draw(random.Random(3))) == config_key(space.draw(random.Random(3)))
