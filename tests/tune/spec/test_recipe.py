"""Every field of the recipe can be searched, and what is said of one that the drawn name does not have."""

from __future__ import annotations

import pytest

from tests.tune.spec.conftest import Desk, search
from tune.spec.recipe import AveragingSpec, OneOfSeveral, OptimizerSpec, ScheduleSpec

SCHEDULE = "training.schedule.name: {choice: [constant, cosine, plateau]}"
SECTIONS: list[tuple[str, type[OneOfSeveral]]] = [
    ("optimizer", OptimizerSpec),
    ("schedule", ScheduleSpec),
    ("averaging", AveragingSpec),
]
VALUES = {
    "milestones": "[3, 6]",
    "nesterov": "true",
    "amsgrad": "true",
    "per_batch": "true",
    "cycle_momentum": "true",
    "step_size": "3",
    "div_factor": "3",
    "final_div_factor": "3",
    "patience": "3",
    "anneal_epochs": "3",
}  # the others are numbers
OWNED = [(section, field, name) for section, kind in SECTIONS for field, names in kind.only.items() for name in names]


def test_every_owned_field_is_below() -> None:
    assert len(OWNED) == 5 + 14 + 4
    for section, kind in SECTIONS:
        shared = {"lr", "weight_decay"} if section == "optimizer" else set()
        assert set(kind.model_fields) == {"name", *kind.only, *shared}


@pytest.mark.parametrize(("section", "field", "name"), OWNED)
def test_a_field_is_searched_where_its_name_is_drawn(desk: Desk, section: str, field: str, name: str) -> None:
    others = {"optimizer": "adam" if name == "sgd" else "sgd", "schedule": "constant", "averaging": "none"}
    other, value = others[section], VALUES.get(field, "0.5")
    fixed = {
        "milestones": "  training.schedule.milestones: {choice: [[3, 6]], when: {training.schedule.name: multistep}}\n",
        "nesterov": "  training.optimizer.momentum: {choice: [0.9], when: {training.optimizer.name: sgd}}\n",
    }
    extra = fixed["nesterov"] if field == "nesterov" else fixed["milestones"] if name == "multistep" else ""
    own = f"  training.{section}.{field}: {{choice: [{value}], when: {{training.{section}.name: {name}}}}}\n"
    text = search(f"training.{section}.name: {{choice: [{other}, {name}]}}") + extra
    text += "" if field == "milestones" else own
    made = desk.search(text)
    drawn = [made.experiment(config).training for config in made.space.enumerate()]
    specs = {getattr(training, section).name: getattr(training, section) for training in drawn}
    assert set(specs) == {other, name}
    defaults = type(specs[name]).model_fields
    assert getattr(specs[name], field) != defaults[field].default
    assert getattr(specs[other], field) == defaults[field].default


def test_a_searched_field_without_its_condition_is_told(desk: Desk) -> None:
    text = search(SCHEDULE, "training.schedule.warmup_epochs: {float: [1, 3]}")
    legal = "legal: leave it out, or the name cosine"
    assert desk.refusal(desk.search, text) == [
        f"FILE: space.training.schedule.name: '{name}' fits no configuration: "
        f"training.schedule.warmup_epochs: {name} has no warmup_epochs; {legal}"
        for name in ("constant", "plateau")
    ]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("training.schedule={name: multistep}", "training.schedule.milestones: multistep has none; legal: epochs after which the learning rate falls, as [10, 15]"),
        ("training.schedule={name: multistep, milestones: 3}", "training.schedule.milestones: 3 is of the wrong type; legal: a list"),
        ("training.schedule={name: cosine, warmup_epochs: 10}", "training.schedule: warmup_epochs 10 takes all epochs; legal: < 10"),
        ("training.schedule={name: plateau, factor: 1}", "training.schedule.factor: 1 is out of range; legal: < 1"),
        ("training.averaging={name: ema, decay: 1}", "training.averaging.decay: 1 is out of range; legal: < 1"),
        ("training.averaging.name=sma", "training.averaging.name: 'sma' is unknown; did you mean swa? legal: ema, none, swa"),
        ("training.averaging.decay=0.9", "training.averaging.decay: none has no decay; legal: leave it out, or the name ema"),
    ],
)  # fmt: skip
def test_faults_of_the_recipe(desk: Desk, override: str, line: str) -> None:
    text = "data: {name: digits}\nmodel: {name: mnist_mlr}\n"
    assert desk.refusal(desk.experiment, text, override) == [f"override: {line}"]
