"""The settings of a search: their faults and ASHA's rungs."""

from __future__ import annotations

import pytest

import models
from search_spaces import config_key
from tests.tune.spec.conftest import Desk
from tune.spec import SearchSettings
from tune.spec.constraints import Bound, ConstraintsSpec
from tune.spec.metric import METRICS, OWN_FIELDS, metrics_of
from tune.spec.options.samplers import SAMPLERS, GpSpec, RandomSpec
from tune.spec.options.schedulers import SCHEDULERS, AshaSpec, MedianSpec, NoSchedulerSpec

SEARCH = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 27}
space:
  training.optimizer.lr: {float: [1e-4, 1e-2], log: true}
"""


FAULTS = {
    "metric=val_acuracy": "metric",
    "mode=maximize": "mode",
    "trials=0": "trials",
    "concurrent=0": "concurrent",
    "concurrent=1.5": "concurrent",
    "sampler=tpe": "sampler",
    "sampler.name=randm": "sampler.name",
    "retention.best=0": "retention.best",
    "time_budget=0": "time_budget",
    "epoch_timeout=-1": "epoch_timeout",
    "stop={plateau: 0}": "stop.plateau",
    "stop={epochs: 2.5}": "stop.epochs",
    "stop={target: {}}": "stop.target",
    "stop={target: {val_acc: 0.9}}": "stop.target",
    "stop={target: {val_accuracy: high}}": "stop.target.val_accuracy",
    "stop={target: {val_kl: 1}}": "stop.target.val_kl",
    "stop={target: {val_accuracy: 99}}": "stop.target.val_accuracy",
    "stop={target: {train_accuracy: -0.1}}": "stop.target.train_accuracy",
    "keep_for_retraining=-1": "keep_for_retraining",
    "stop={budget: 3}": "stop.budget",
    "resources.cpu=0": "resources.cpu",
    "resources.cpu=two": "resources.cpu",
    "scheduler=asha": "scheduler",
    "scheduler={name: halving}": "scheduler.name",
    "scheduler={name: median, brackets: 2}": "scheduler.brackets",
    "scheduler={name: hyperband, brackets: 5}": "scheduler.brackets",
    "scheduler={name: median, grace_period: 28}": "scheduler.grace_period",
    "sampler={name: random, startup: 3}": "sampler.startup",
    "sampler.startup=-1": "sampler.startup",
    "sampler={name: grid, points: 0}": "sampler.points",
    "sampler={name: grid, points: {training.optimizer.lr: 2, training.epochs: 3}}": "sampler.points.training.epochs",
    "sampler={name: nsga2, population: 1}": "sampler.population",
    "scheduler={grace_period: 28}": "scheduler.grace_period",
    "scheduler={grace_period: 10, max_t: 9}": "scheduler.grace_period",
    "scheduler={grace_period: 0}": "scheduler.grace_period",
    "scheduler={max_t: 0}": "scheduler.max_t",
    "scheduler={reduction_factor: 1}": "scheduler.reduction_factor",
    "scheduler={reduction_factor: 1.0000001}": "scheduler.reduction_factor",
    "scheduler={brackets: 0}": "scheduler.brackets",
    "scheduler={brackets: 4, grace_period: 3}": "scheduler.brackets",
}
ELSEWHERE = {
    "search=[]": "override: search",
    "search=null": "override: search",
    "constraints=[]": "override: constraints",
    "constraints.mult_adds={}": "override: constraints.mult_adds",
    "constraints.parameters=3": "override: constraints.parameters",
}


@pytest.mark.parametrize("override", FAULTS)
def test_faults_of_the_settings(desk: Desk, override: str) -> None:
    assert desk.faults(desk.search, SEARCH, f"search.{override}") == [f"override: search.{FAULTS[override]}"]


@pytest.mark.parametrize("override", ELSEWHERE)
def test_faults_beside_the_settings(desk: Desk, override: str) -> None:
    assert desk.faults(desk.search, SEARCH, override) == [ELSEWHERE[override]]


def test_faults_of_several_settings(desk: Desk) -> None:
    several = ("search.mode=max", "search.trials=x", "constraints.parameters={min: -1, mx: 2}")
    assert desk.faults(desk.search, SEARCH, *several) == [
        *("override: constraints.parameters.min", "override: constraints.parameters.mx"),
        *("override: search.mode", "override: search.trials"),
    ]


@pytest.mark.parametrize("value", ["two", "-1", "[1]", "null", "true", ".nan", ".inf", "1.5", "1e-5", "{}", "Auto"])
def test_what_is_no_share_of_a_gpu(desk: Desk, value: str) -> None:
    faults = desk.faults(desk.search, SEARCH, f"search.resources.gpu={value}")
    assert faults == ["override: search.resources.gpu"]


@pytest.mark.parametrize(("value", "gpu"), [("auto", "auto"), ("0", 0), ("0.25", 0.25), ("1", 1), ("2", 2), ("2.0", 2)])
def test_shares_of_a_gpu(desk: Desk, value: str, gpu: float | str) -> None:
    assert desk.search(SEARCH, f"search.resources.gpu={value}").search.resources.gpu == gpu


@pytest.mark.parametrize(
    "overrides", [["brackets=3", "grace_period=3"], ["grace_period=27"], ["grace_period=99", "name=none"], ["max_t=99"]]
)
def test_schedulers_that_are_just_possible(desk: Desk, overrides: list[str]) -> None:
    assert desk.search(SEARCH, *(f"search.scheduler.{override}" for override in overrides)).longest <= 27


@pytest.mark.parametrize("grace", [1, 3, 5])
@pytest.mark.parametrize("factor", [2, 2.5, 3, 4])
@pytest.mark.parametrize("epochs", [5, 27, 40, 81, 243])
def test_brackets_are_refused_exactly_where_ray_would_leave_one_empty(
    desk: Desk, epochs: int, factor: float, grace: int
) -> None:
    from ray.tune.schedulers.async_hyperband import _Bracket

    most = max(s + 1 for s in range(10) if _Bracket(grace, epochs, factor, s)._rungs)
    fields = (f"training.epochs={epochs}", f"search.scheduler={{grace_period: {grace}, reduction_factor: {factor}}}")
    assert desk.search(SEARCH, *fields, f"search.scheduler.brackets={most}").search.scheduler == AshaSpec(
        grace_period=grace, reduction_factor=factor, brackets=most
    )
    (line,) = desk.refusal(desk.search, SEARCH, *fields, f"search.scheduler.brackets={most + 1}")
    assert f"must be at most {most}, the rungs" in line


def test_searched_epochs_bound_the_grace_period_by_their_most(desk: Desk) -> None:
    text = SEARCH + "  training.epochs: {int: [5, 30]}\n"
    assert desk.search(text, "search.scheduler.grace_period=30").longest == 30
    faults = desk.faults(desk.search, text, "search.scheduler.grace_period=31")
    assert faults == ["override: search.scheduler.grace_period"]


GOALS = {
    **{f"{part}_{kind}": "min" for part in ("train", "val") for kind in ("loss", "reconstruction", "kl")},
    **{"train_accuracy": "max", "val_accuracy": "max"},
}


def test_the_goal_follows_from_the_metric() -> None:
    assert set(GOALS) == set(METRICS)
    for name, goal in GOALS.items():
        for tree in ({"metric": name}, {"metric": name, "mode": goal}):
            metric = SearchSettings.model_validate(tree).objective.metric
            assert (metric.name, metric.goal, f"{metric.part}_{metric.kind}") == (name, goal, name)


def test_a_metric_is_the_same_in_every_task_that_has_it() -> None:
    tasks = {models.get(name).task for name in models.names()}
    assert len(tasks) == 2
    assert all(METRICS[metric.name] == metric for task in tasks for metric in metrics_of(task))
    assert set(OWN_FIELDS.values()) == tasks


def test_bounds_are_inclusive() -> None:
    bound = Bound(min=2, max=3)
    assert [bound.holds(value) for value in (1.9, 2, 3, 3.1)] == [False, True, True, False]
    assert (Bound(max=3).holds(0), Bound(min=3).holds(9)) == (True, True)
    assert (bound.text, Bound(max=3).text) == ("at least 2 and at most 3", "at most 3")
    assert ConstraintsSpec().parameters is None


def test_the_seed_of_the_search_is_its_own_or_the_experiments(desk: Desk) -> None:
    assert desk.search(SEARCH, "seed=5").seed == 5
    assert desk.search(SEARCH, "seed=5", "search.seed=0").seed == 0


def test_an_experiment_of_every_configuration_of_a_search(desk: Desk) -> None:
    spec = desk.search(SEARCH + "  training.batch_size: {int: [32, 34]}\n", "training.optimizer.lr=0.1")
    experiments = {config_key(config): spec.experiment(config) for config in spec.space.enumerate()}
    assert [made.training.batch_size for made in experiments.values()] == [32, 33, 34]
    assert len(set(experiments.values())) == 3


def test_options_of_earlier_versions_are_still_read(desk: Desk) -> None:
    """Records of them name every option, also those that a scheduler does not use."""
    old = "{name: none, type: stopping, max_t: 9, grace_period: 99, reduction_factor: 3.0, brackets: 1}"
    search = desk.search(SEARCH, f"search.scheduler={old}", "search.sampler={name: gp, startup_trials: 7}").search
    assert search.scheduler == NoSchedulerSpec()
    assert search.sampler == GpSpec(startup=7)
    assert desk.search(SEARCH, "search.sampler={name: random, startup_trials: 7}").search.sampler == RandomSpec()


def test_another_name_leaves_the_options_of_the_file_that_it_does_not_have(desk: Desk) -> None:
    text = SEARCH + "search:\n  scheduler: {name: asha, max_t: 9, grace_period: 2, reduction_factor: 4}\n"
    assert desk.search(text, "search.scheduler.name=median").search.scheduler == MedianSpec(max_t=9, grace_period=2)
    (fault,) = desk.refusal(desk.search, text, "search.scheduler.name=median", "search.scheduler.brackets=2")
    assert fault == (
        "override: search.scheduler.brackets: unknown field; valid fields here: grace_period, max_t, min_trials, name"
    )


def test_objectives_take_the_place_of_the_metric_of_the_file(desk: Desk) -> None:
    text, several = (
        SEARCH + "search: {metric: val_accuracy, mode: max}\n",
        "search.objectives=[{metric: val_loss}, {metric: parameters}]",
    )
    found = desk.search(text, several).search
    assert [metric.name for metric in found.objective.every] == ["val_loss", "parameters"]
    text = SEARCH + "search: {objectives: [{metric: val_loss}, {metric: parameters}]}\n"
    assert desk.search(text, "search.metric=val_accuracy").search.objective.metric.name == "val_accuracy"
    assert desk.faults(desk.search, text, several, "search.metric=val_loss") == ["FILE: search"]
    found = desk.search(SEARCH + "search: {metric: val_accuracy}\n", "search.objectives=[]").search
    assert found.objective.metric.name == "val_accuracy"


def test_a_grid_needs_to_know_how_many_values_to_try(desk: Desk) -> None:
    (fault,) = desk.refusal(desk.search, SEARCH, "search.sampler.name=grid")
    assert fault == (
        "FILE: search.sampler.points: is required, since training.optimizer.lr has no steps: "
        "how many values to try, such as 5, or {training.optimizer.lr: 5}"
    )


@pytest.mark.parametrize("name", [*SAMPLERS, *SCHEDULERS])
def test_every_option_is_written_and_read_again(desk: Desk, name: str) -> None:
    field = "sampler" if name in SAMPLERS else "scheduler"
    points = ", points: 3" if name == "grid" else ""
    spec = desk.search(SEARCH, f"search.{field}={{name: {name}{points}}}").search
    again = SearchSettings.model_validate(spec.model_dump(mode="json"))
    assert again == spec
    assert getattr(again, field).name == name
