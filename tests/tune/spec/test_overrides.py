"""Overrides: their form, what they reach, and that none is lost in silence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tune.spec.conftest import Desk
from tune.spec.overrides import parse_overrides

EXPERIMENT = """
data: {name: digits, augment: [flip, crop]}
model: {name: mnist_mlr}
training: {epochs: 7, batch_size: 64}
"""
SEARCH = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 7}
space:
  training.optimizer.lr: {float: [1e-4, 1e-2], log: true}
  training.batch_size: {int: [32, 64]}
  training.early_stopping.patience: {int: [1, 3]}
search: {trials: 3}
first: [{training.optimizer.lr: 0.001, training.batch_size: 32, training.early_stopping.patience: 2}]
"""


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("x=1e-4", 1e-4),
        ("x=no", "no"),
        ("x=010", 10),
        ("x=1_000_000", 1_000_000),
        ("x=[flip, crop]", ["flip", "crop"]),
        ("x={crop: {padding: 2}}", {"crop": {"padding": 2}}),
        ("x=null", None),
        ("x=", None),
        ("x=größe 😀", "größe 😀"),
        ("x=a=b", "a=b"),
        ("x==1", "=1"),
        ("x='1'", "1"),
        ("x=C:\\images", "C:\\images"),
        ("experiment.x=1", 1),
    ],
)
def test_values(override: str, value: Any) -> None:
    assert parse_overrides([override]) == ({"x": value}, [])


@pytest.mark.parametrize("override", ["", "x", "=1", ".=1", "a..b=1", "a.=1", ".a=1", "experiment.=1", "a\nb"])
def test_what_is_not_an_override(override: str) -> None:
    values, (problem,) = parse_overrides([override])
    assert values == {}
    assert str(problem) == f"override: {override!r} is not an override; legal: dotted.name=value"


def test_all_faulty_overrides_are_told_together() -> None:
    values, problems = parse_overrides(["a=[", "b", "c=1", "d={x: 1, x: 2}"])
    assert values == {"c": 1}
    assert [str(problem) for problem in problems] == [
        "override: a: not YAML: expected the node content, but found '<stream end>' (line 1, column 2)",
        "override: 'b' is not an override; legal: dotted.name=value",
        'override: d: not YAML: found duplicate key "x" with value "2" (original value: "1") (line 1, column 8)',
    ]


@given(st.lists(st.text(max_size=12)))
@settings(deadline=None)
def test_any_words_are_overrides_or_refused_in_a_printable_line(words: list[str]) -> None:
    values, problems = parse_overrides(words)
    assert len(values) + len(problems) == len(words)
    assert all(str(problem).isprintable() and str(problem).startswith("override: ") for problem in problems)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["a.b=1", "a.b=2"], "override: a.b: given twice, here '2'; legal: once"),
        (["a.b=1", "a.b=1"], "override: a.b: given twice, here '1'; legal: once"),
        (["a.b=1", "experiment.a.b=2"], "override: a.b: given twice, here '2'; legal: once"),
        (
            ["a.b=1", "a.c=1", "a={}"],
            "override: a: would undo a.b, a.c, given before; legal: the section first, then its fields",
        ),
    ],
)
def test_no_override_is_lost_to_a_later_one(overrides: list[str], message: str) -> None:
    _, (problem,) = parse_overrides(overrides)
    assert str(problem) == message


def test_an_override_takes_the_place_of_the_files_value(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT, "training.epochs=3", "experiment.seed=5", "training.schedule={name: cosine}")
    assert (made.training.epochs, made.training.batch_size, made.seed) == (3, 64, 5)
    assert made.training.schedule.name == "cosine"


def test_a_section_is_replaced_whole_and_its_fields_may_follow(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT, "training={epochs: 3}", "training.optimizer.lr=0.1")
    assert (made.training.epochs, made.training.batch_size, made.training.optimizer.lr) == (3, 128, 0.1)


def test_a_field_makes_the_section_that_was_null(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT + "  # no early stopping", "training.early_stopping.patience=2")
    assert made.training.early_stopping is not None
    assert made.training.early_stopping.patience == 2


def test_an_option_of_one_augmentation_keeps_the_others_that_are_listed(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT, "data.augment.crop.padding=2")
    assert made.data.augment == (("flip", '{"p":0.5}'), ("crop", '{"padding":2,"fill":0,"mode":"constant"}'))


@pytest.mark.parametrize(
    ("override", "lines"),
    [
        ("nonsense=1", ["override: nonsense: unknown; legal: constraints, data, model, search, seed, training"]),
        ("optimizer.lr=1", ["override: optimizer.lr: unknown; did you mean training.optimizer.lr? legal: constraints, data, model, search, seed, training"]),
        ("serch.trials=1", ["override: serch.trials: unknown; did you mean search? legal: constraints, data, model, search, seed, training"]),
        ("experiment={}", ["override: experiment: unknown; legal: constraints, data, model, search, seed, training"]),
        ("training.epoch=3", ["override: training.epoch: unknown; did you mean epochs? legal: averaging, batch_size, beta, clip_norm, early_stopping, epochs, label_smoothing, optimizer, precision, schedule, threads"]),
        ("training.optimzer.lr=3", ["override: training.optimzer: unknown; did you mean optimizer? legal: averaging, batch_size, beta, clip_norm, early_stopping, epochs, label_smoothing, optimizer, precision, schedule, threads"]),
        ("training.epochs.x=1", ['override: training.epochs: {"x": 1} is of the wrong type; legal: a whole number']),
        ("model.hidden=3", ["override: model.hidden: unknown; legal: name"]),
        ('data={"a\\nb": 1, name: digits}', [r"override: data.a\nb: unknown; legal: augment, image_size, max_pixels, name, normalize, path, skip_unreadable, split_seed, test_fraction, train_limit, validation_fraction"]),
        ("search.trialz=3", ["override: search.trialz: unknown; did you mean trials? legal: concurrent, epoch_timeout, failures, metric, mode, resources, retention, sampler, scheduler, seed, time_budget, trials"]),
        ("search=3", ["override: search: 3 is of the wrong type; legal: a mapping of names to values"]),
        ("constraints.parameterz={}", ["override: constraints.parameterz: unknown; did you mean parameters? legal: mult_adds, parameters"]),
        ("space.training.epochs={int: [1, 2]}", ["override: space.training.epochs: cannot be overridden; legal: field=value, which fixes a searched field, or another file"]),
        ("first=[]", ["override: first: cannot be overridden; legal: field=value, which fixes a searched field, or another file"]),
        ("made_with.torch=1", ["override: made_with.torch: unknown; legal: constraints, data, model, search, seed, training"]),
    ],
)  # fmt: skip
def test_unknown_names(desk: Desk, override: str, lines: list[str]) -> None:
    assert desk.refusal(desk.experiment, EXPERIMENT, override) == lines


def test_the_origin_of_a_fault_is_where_its_value_came_from(desk: Desk) -> None:
    text = "data: {name: digits, split_seed: -1}\nmodel: {name: mnist_mlr}\ntraining: {epochs: 0}"
    lines = desk.refusal(
        desk.experiment, text, "training.epochs=x", "data.augment={crp: null}", "training.optimizer={lr: 0}"
    )
    assert lines == [
        "FILE: data.split_seed: -1 is out of range; legal: >= 0",
        "override: data.augment.crp: unknown; did you mean crop? legal: crop, cutmix, cutout, flip, jitter, mixup, rotation, scale, translation, vertical_flip",
        "override: training.epochs: 'x' is of the wrong type; legal: a whole number",
        "override: training.optimizer.lr: 0 is out of range; legal: > 0",
    ]


# -- of searched fields


@pytest.mark.parametrize(
    ("overrides", "left"),
    [
        ([], ["training.optimizer.lr", "training.batch_size", "training.early_stopping.patience"]),
        (["training.optimizer.lr=0.1"], ["training.batch_size", "training.early_stopping.patience"]),
        (["training.optimizer={lr: 0.1}"], ["training.batch_size", "training.early_stopping.patience"]),
        (["training.early_stopping=null"], ["training.optimizer.lr", "training.batch_size"]),
        (["training.early_stopping={patience: 9}", "training.batch_size=7"], ["training.optimizer.lr"]),
        (["training.early_stopping.min_delta=0.5"], ["training.optimizer.lr", "training.batch_size", "training.early_stopping.patience"]),
    ],
)  # fmt: skip
def test_an_override_of_a_searched_field_fixes_it(desk: Desk, overrides: list[str], left: list[str]) -> None:
    made = desk.search(SEARCH, *overrides)
    assert list(made.space.domains) == left
    assert [list(config) for config in made.first] == [left]


def test_the_fixed_value_holds_in_every_trial(desk: Desk) -> None:
    made = desk.search(SEARCH, "training.optimizer.lr=0.1", "training.early_stopping=null")
    assert made.sample.training.optimizer.lr == 0.1
    assert made.sample.training.early_stopping is None


def test_settings_and_constraints(desk: Desk) -> None:
    made = desk.search(SEARCH, "search.trials=9", "search.scheduler.max_t=5", "constraints.parameters.max=1e4")
    assert (made.search.trials, made.search.scheduler.max_t, made.epochs) == (9, 5, 5)
    assert made.constraints.parameters is not None
    assert made.constraints.parameters.max == 1e4


def test_when_nothing_is_left_to_search(desk: Desk) -> None:
    lines = desk.refusal(desk.search, SEARCH, "training={}")
    assert lines == ["FILE: space: has no free field; legal: at least one, or `train` the experiment"]


def test_an_override_inside_of_a_searched_value_would_be_lost(desk: Desk) -> None:
    text = SEARCH.split("first")[0].replace(
        "training.optimizer.lr: {float: [1e-4, 1e-2], log: true}",
        "training.optimizer: {choice: [{name: sgd}, {lr: 0.1}]}",
    )
    assert desk.search(text).space.domains.keys() >= {"training.optimizer"}
    assert desk.refusal(desk.search, text, "training.optimizer.lr=1") == [
        "override: training.optimizer.lr: lies within training.optimizer, which is searched; "
        "legal: training.optimizer=value, which fixes it whole"
    ]


def test_train_takes_a_space_all_of_whose_fields_are_fixed(desk: Desk) -> None:
    fixed = ("training.optimizer.lr=0.1", "training.batch_size=32", "training.early_stopping=null")
    assert desk.experiment(SEARCH, *fixed).training.batch_size == 32
    assert desk.refusal(desk.experiment, SEARCH, *fixed[:1], "training.epochs=x", "search.trials=0") == [
        "override: training.epochs: 'x' is of the wrong type; legal: a whole number",
        "override: search.trials: 0 is out of range; legal: >= 1",
        "FILE: space: has free fields: training.batch_size, training.early_stopping.patience; "
        "legal: `search` it, or fix each with an override",
    ]
