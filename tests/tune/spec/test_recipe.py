"""The recipe: fields for one name only, and schedules that fit their epochs and learning rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tune.spec.conftest import EXPERIMENT, LR, Desk, search
from tune.spec import Experiment
from tune.spec.checks.experiment import check_experiment
from tune.spec.checks.images import inspect_data
from tune.spec.recipe import AveragingSpec, OneOfSeveral, OptimizerSpec, ScheduleSpec

SECTIONS: list[tuple[str, type[OneOfSeveral]]] = [
    ("optimizer", OptimizerSpec),
    ("schedule", ScheduleSpec),
    ("averaging", AveragingSpec),
]
VALUES = {
    "milestones": "[3, 6]",
    **dict.fromkeys(("nesterov", "amsgrad", "per_batch", "cycle_momentum"), "true"),
    **dict.fromkeys(("step_size", "div_factor", "final_div_factor", "patience", "anneal_epochs", "every"), "3"),
    **dict.fromkeys(("min_lr", "lr"), "0.0005"),
    "alpha": "0.8",
}  # the others are fractions
OWNED = [(section, field, name) for section, kind in SECTIONS for field, names in kind.only.items() for name in names]


def test_every_owned_field_is_below() -> None:
    assert len(OWNED) == 5 + 14 + 6
    for section, kind in SECTIONS:
        shared = {"lr", "weight_decay", "bias_lr_factor", "decay"} if section == "optimizer" else set()
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


@pytest.mark.parametrize(("section", "field", "name"), OWNED)
def test_a_field_of_another_name_is_refused(desk: Desk, section: str, field: str, name: str) -> None:
    kind = dict(SECTIONS)[section]
    strangers = [other for other in ("muon", "constant", "none", "adamw", "ema") if other not in kind.only[field]]
    stranger = next(other for other in strangers if other in str(kind.model_fields["name"].annotation))
    override = f"training.{section}={{name: {stranger}, {field}: {VALUES.get(field, '0.5')}}}"
    assert desk.faults(desk.experiment, EXPERIMENT, override) == [f"override: training.{section}.{field}"]
    spelled_out = kind.model_validate({"name": stranger}).model_dump(mode="json")
    assert kind.model_validate(spelled_out).model_dump(mode="json") == spelled_out


def test_a_searched_field_without_its_condition_is_told(desk: Desk) -> None:
    names = "training.schedule.name: {choice: [constant, cosine, plateau]}"
    lines = desk.refusal(desk.search, search(names, "training.schedule.warmup_epochs: {float: [1, 3]}"))
    assert [("constant" in line, "plateau" in line) for line in lines] == [(True, False), (False, True)]
    assert all(line.startswith("FILE: space.training.schedule.name: ") for line in lines)


# -- what fits the epochs and the learning rate: 10 epochs, lr 0.001, 1294 images in batches of 128

MISFITS = {
    "training.schedule={name: step, step_size: 10}": "schedule.step_size",
    "training.schedule={name: multistep, milestones: [3, 10]}": "schedule.milestones",
    "training.schedule={name: cosine, warmup_epochs: 10}": "schedule.warmup_epochs",
    "training.schedule={name: cosine, warmup_epochs: 11.5, per_batch: true}": "schedule.warmup_epochs",
    "training.schedule={name: cosine, min_lr: 0.0011}": "schedule.min_lr",
    "training.schedule={name: plateau, min_lr: 1}": "schedule.min_lr",
    "training.schedule={name: onecycle, pct_start: 0.009}": "schedule.pct_start",  # of 110 steps
    "training.schedule={name: onecycle, pct_start: 0.991}": "schedule.pct_start",
    "training.averaging={name: swa, lr: 0.0011}": "averaging.lr",
    "training.averaging={name: lookahead, every: 111}": "averaging.every",  # of 110 steps
    "training.averaging={name: swa, lr: 0.0005, anneal_epochs: 4}": "averaging.anneal_epochs",  # 3 are averaged
}
FITS = [
    "training.schedule={name: step, step_size: 9}",
    "training.schedule={name: multistep, milestones: [3, 9]}",
    "training.schedule={name: cosine, warmup_epochs: 9.5}",
    "training.schedule={name: cosine, min_lr: 0.001}",
    "training.schedule={name: plateau, patience: 99}",
    "training.schedule={name: onecycle, pct_start: 0.0091}",
    "training.schedule={name: onecycle, pct_start: 0.99}",
    "training.averaging={name: swa, lr: 0.001, anneal_epochs: 3}",
    "training.averaging={name: swa, start: 0.999999}",
    "training.averaging={name: lookahead, every: 110}",
    "training.early_stopping={patience: 99}",
]


@pytest.mark.parametrize("override", MISFITS)
def test_a_schedule_that_does_not_fit_is_refused_but_can_be_read(desk: Desk, override: str) -> None:
    assert desk.faults(desk.experiment, EXPERIMENT, override) == [f"override: training.{MISFITS[override]}"]
    text = search(LR, model="{name: mnist_mlr}")
    if "lr:" not in override:
        assert desk.faults(desk.search, text, override) == [f"override: training.{MISFITS[override]}"]
    assert desk.search(text, override, with_data=False).sample.training.epochs == 10


@pytest.mark.parametrize("override", FITS)
def test_a_schedule_that_just_fits(desk: Desk, override: str) -> None:
    assert desk.experiment(EXPERIMENT, override).training.epochs == 10


def test_combinations_that_do_not_fit_are_infeasible(desk: Desk) -> None:
    text = search(
        "training.epochs: {choice: [4, 8]}",
        "training.optimizer.lr: {choice: [0.1, 0.001]}",
        model="{name: mnist_mlr}",
    ).replace("space:", "  training: {schedule: {name: cosine, warmup_epochs: 4, min_lr: 0.01}}\nspace:")
    made = desk.search(text)
    info = inspect_data(made.sample.data)
    possible = [config for config in made.space.enumerate() if not check_experiment(made.experiment(config), info)]
    assert possible == [{"training.epochs": 8, "training.optimizer.lr": 0.1}]
    assert desk.faults(desk.search, text, "training.epochs=4") == ["FILE: training.schedule.warmup_epochs"]
    named = f"{text}first: [{{training.epochs: 4, training.optimizer.lr: 0.1}}]\n"
    assert desk.faults(desk.search, named) == ["FILE: first.0"]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 10_000))
def test_the_last_epoch_is_always_averaged(start: float, epochs: int) -> None:
    assert 0 <= AveragingSpec(name="swa", start=start).epochs_before(epochs) < epochs


def test_an_experiment_of_before_these_rules_is_still_an_experiment() -> None:
    recipe = {"epochs": 3, "schedule": {"name": "cosine", "warmup_epochs": 3, "min_lr": 1.0}}
    tree = {"data": {"name": "digits"}, "model": {"name": "mnist_mlr"}, "training": recipe}
    experiment = Experiment.model_validate(tree)
    found = [problem.field for problem in check_experiment(experiment, inspect_data(experiment.data))]
    assert found == ["training.schedule.warmup_epochs", "training.schedule.min_lr"]


def test_a_rate_of_norms_biases_needs_norms(desk: Desk) -> None:
    factor = "training.optimizer.bias_lr_factor=64"
    assert desk.faults(desk.experiment, EXPERIMENT, factor) == ["override: training.optimizer.bias_lr_factor"]
    desk.experiment(EXPERIMENT, factor, "model={name: classifier, cnn_layers: 2}")


def test_the_fields_of_the_speed_records_can_be_searched(desk: Desk) -> None:
    text = search(
        "model.initialization: {choice: [default, dirac]}",
        "model.whitening: {choice: [none, 2x2, 3x3]}",
        "training.optimizer.bias_lr_factor: {float: [1, 64], log: true}",
        "training.optimizer.decay: {choice: [all, weights]}",
        "training.averaging.name: {choice: [none, lookahead]}",
        "training.progressive_size: {choice: [null, {start: 0.5}]}",
        "data.augment: {choice: [[flip], [alternating_flip]]}",
        model="{name: classifier, cnn_layers: 2, starting_channels: 4, final_channels: 8, pooling: max}",
    )
    made = desk.search(text)
    assert not check_experiment(made.sample, inspect_data(made.sample.data))
