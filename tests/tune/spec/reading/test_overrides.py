"""Overrides: what the shell passed is what counts, and none is lost in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.words import printable
from tests.tune.spec.conftest import Desk
from tune.spec import dump_yaml, load_experiment
from tune.spec.files import parse_yaml
from tune.spec.reading.overrides import parse_overrides

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
        ("x='a # b'", "a # b"),
        ("x=a#b", "a#b"),
        ("x=C:\\images", "C:\\images"),
        ("experiment.x=1", 1),
    ],
)
def test_values_are_yaml(override: str, value: Any) -> None:
    assert parse_overrides([override]) == ({"x": value}, [])


@pytest.mark.parametrize(
    "text", ["5 # five", "# five", "[1, 2] # two", "{a: 1} # b", "x\n# y", "'a' # b", "[1, # 2\n3]"]
)
def test_nothing_is_dropped_as_a_comment(text: str) -> None:
    values, (problem,) = parse_overrides([f"training.epochs={text}"])
    assert values == {}
    assert problem.field == "training.epochs"
    assert "comment" in problem.message


# -- fields that are text

PATHS = [
    "in/run #3", "#", "a: b", "a:b", "[draft]", "{x}", "'single'", '"double"', "it's", "- a", "? q", "-", "--- doc", "...",
    "*star", "&and", "!bang", "%percent", "@at", "`tick`", "|pipe", ">fold", "$HOME", "a=b", "a,b", "a\tb", "trailing ",
    " leading", "~", "~/images", "null", "true", "no", "1e3", "010", "0x1F", "2026-01-31", ".5", ".nan",
    "C:\\images\\new", "größe 画像 😀", "a//b/../c/", "a\u00a0b", "\u200d",
]  # fmt: skip


@pytest.mark.parametrize("text", PATHS)
def test_a_path_is_what_the_shell_passed(text: str) -> None:
    assert parse_overrides([f"data.path={text}"]) == ({"data.path": text}, [])
    assert parse_overrides([f"experiment.data.path={text}"]) == ({"data.path": text}, [])
    assert parse_yaml(dump_yaml({"path": text}), "FILE") == {"path": text}


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20).filter(str.isprintable))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_printable_path_reaches_the_experiment_and_its_file(tmp_path: Path, text: str) -> None:
    folder = tmp_path / f"x{text}".replace("/", "_")[:40]
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(5):
            (folder / name / f"{index}.png").touch()
    path = tmp_path / "made.yaml"
    path.write_text("data: {name: folder, image_size: 8}\nmodel: {name: mnist_mlr}\ntraining: {batch_size: 2}\n")
    made = load_experiment(str(path), [f"data.path={folder}"])
    assert made.data.path == str(folder)
    path.write_text(dump_yaml(made.to_tree()), encoding="utf-8")
    assert load_experiment(str(path)) == made


def test_a_path_is_absolute_home_is_expanded_and_nothing_unsets_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    text = "experiment:\n  data: {name: folder, path: x, image_size: 8}\n  model: {name: mnist_mlr}\nspace: {seed: {int: [0, 9]}}\n"
    for given_path, found in (("a b", "a b"), ("~/a", "a"), ("~", ""), ("null", "null"), ("./a", "a")):
        made = desk.search(text, f"data.path={given_path}", with_data=False)
        assert made.sample.data.path == made.to_tree()["experiment"]["data"]["path"] == str(tmp_path / found)
    unset = desk.search(text, "data.name=digits", "data.path=", "data.image_size=null")
    assert unset.sample.data.path is None


def test_text_is_text_only_where_the_field_is(desk: Desk) -> None:
    assert parse_overrides(["data.name='digits'"]) == ({"data.name": "'digits'"}, [])
    assert parse_overrides(["data={path: a}"]) == ({"data": {"path": "a"}}, [])
    assert desk.experiment(EXPERIMENT, "training.optimizer.name='sgd'").training.optimizer.name == "sgd"


@pytest.mark.parametrize("path", ["\udcff", "a\udc80b"])
def test_a_path_that_is_not_utf_8_is_refused(desk: Desk, path: str) -> None:
    faults = desk.faults(desk.experiment, EXPERIMENT, "data.name=folder", "data.image_size=8", f"data.path={path}")
    assert faults == ["override: data.path"]


# -- their form


@pytest.mark.parametrize("override", ["", "x", "=1", ".=1", "a..b=1", "a.=1", ".a=1", "experiment.=1", "a\nb"])
def test_what_is_not_an_override(override: str) -> None:
    values, (problem,) = parse_overrides([override])
    assert values == {}
    assert str(problem).startswith(f"override: {override!r} is not an override")


@given(st.lists(st.text(max_size=12)))
@settings(deadline=None)
def test_any_words_are_overrides_or_refused_in_a_printable_line(words: list[str]) -> None:
    values, problems = parse_overrides(words)
    assert len(values) + len(problems) == len(words)
    assert all(
        str(problem) == printable(str(problem)) and str(problem).startswith("override: ") for problem in problems
    )


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["a.b=1", "a.b=2"], "a.b"),
        (["a.b=1", "experiment.a.b=1"], "a.b"),
        (["a.b=1", "a.c=1", "a={}"], "a"),
        (["c=1", "a=["], "a"),
    ],
)
def test_no_override_is_lost_to_a_later_one(overrides: list[str], field: str) -> None:
    _, (problem,) = parse_overrides(overrides)
    assert problem.field == field


# -- what they do


def test_an_override_takes_the_place_of_the_files_value(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT, "training.epochs=3", "experiment.seed=5", "training.schedule={name: cosine}")
    assert (made.training.epochs, made.training.batch_size, made.seed) == (3, 64, 5)
    assert made.training.schedule.name == "cosine"


def test_a_section_is_replaced_whole_and_its_fields_may_follow(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT, "training={epochs: 3}", "training.optimizer.lr=0.1")
    assert (made.training.epochs, made.training.batch_size, made.training.optimizer.lr) == (3, 128, 0.1)


def test_a_field_makes_the_section_that_was_null(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT, "training.early_stopping.patience=2")
    assert made.training.early_stopping is not None
    assert made.training.early_stopping.patience == 2


def test_an_option_of_one_augmentation_keeps_the_others_that_are_listed(desk: Desk) -> None:
    made = desk.experiment(EXPERIMENT, "data.augment.crop.padding=2")
    assert made.data.augment == (("flip", '{"p":0.5}'), ("crop", '{"padding":2,"fill":0,"mode":"constant"}'))


def test_what_an_alias_stands_for_is_changed_in_one_place(desk: Desk) -> None:
    text = "data: {name: digits}\nmodel: &m {name: mnist_mlr}\nspace: {}\nmade_with: *m\n"
    assert desk.experiment(text, "model.name=mnist_cnn").model.name == "mnist_cnn"
    assert parse_yaml("a: &x {k: 1}\nb: *x\nc: {<<: *x}", "f")["a"] is not parse_yaml("a: &x {k: 1}\nb: *x", "f")["b"]
    tree = parse_yaml("a: &x {k: [1]}\nb: *x", "f")
    tree["a"]["k"].append(2)
    assert tree["b"] == {"k": [1]}


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("epochs=3", "epochs"),
        ("trainig.epochs=3", "trainig.epochs"),
        ("model.conv_channels=[1]", "model.conv_channels"),
        ("made_with.torch=2", "made_with.torch"),
        ("space.seed={int: [1, 2]}", "space.seed"),
        ("space=null", "space"),
        ("first=[]", "first"),
        ("data.augment=[crp]", "data.augment.crp"),
    ],
)
def test_what_cannot_be_overridden(desk: Desk, override: str, fault: str) -> None:
    assert desk.faults(desk.experiment, EXPERIMENT, override) == [f"override: {fault}"]


def test_a_problem_names_the_file_or_the_override_that_its_value_came_from(desk: Desk) -> None:
    text = EXPERIMENT.replace("epochs: 7", "epochs: 0, clip_norm: 0").replace("flip", "flop")
    assert desk.faults(desk.experiment, text, "training.optimizer={lr: 0}", "training.clip_norm=-1", "seed=x") == [
        "FILE: data.augment.flop",
        "FILE: training.epochs",
        "override: training.optimizer.lr",
        "override: training.clip_norm",
        "override: seed",
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
        (
            ["training.early_stopping.min_delta=0.5"],
            ["training.optimizer.lr", "training.batch_size", "training.early_stopping.patience"],
        ),
    ],
)
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
    assert (made.search.trials, made.search.scheduler.longest, made.epochs) == (9, 5, 5)
    assert made.constraints.parameters is not None
    assert made.constraints.parameters.max == 1e4


def test_an_override_inside_of_a_searched_value_would_be_lost(desk: Desk) -> None:
    text = SEARCH.split("first")[0].replace(
        "training.optimizer.lr: {float: [1e-4, 1e-2], log: true}",
        "training.optimizer: {choice: [{name: sgd}, {lr: 0.1}]}",
    )
    assert desk.search(text).space.domains.keys() >= {"training.optimizer"}
    assert desk.faults(desk.search, text, "training.optimizer.lr=1") == ["override: training.optimizer.lr"]


def test_train_takes_a_space_all_of_whose_fields_are_fixed(desk: Desk) -> None:
    fixed = ("training.optimizer.lr=0.1", "training.batch_size=32", "training.early_stopping=null")
    assert desk.experiment(SEARCH, *fixed).training.batch_size == 32
    assert desk.faults(desk.search, SEARCH, *fixed) == ["FILE: space"]
    faults = desk.faults(desk.experiment, SEARCH, *fixed[:1], "training.epochs=x", "search.trials=0")
    assert faults == ["override: training.epochs", "override: search.trials", "FILE: space"]
