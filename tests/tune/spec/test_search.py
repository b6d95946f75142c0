"""The settings of a search: their faults and ASHA's rungs."""

from __future__ import annotations

import pytest

from search_spaces import config_key
from tests.tune.spec.conftest import Desk
from tune.spec import SearchSettings
from tune.spec.search import Bound, ConstraintsSpec

SEARCH = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 27}
space:
  training.optimizer.lr: {float: [1e-4, 1e-2], log: true}
"""


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["search.metric=val_acuracy"], ["override: search.metric: 'val_acuracy' is unknown; did you mean val_accuracy? legal: train_accuracy, train_kl, train_loss, train_reconstruction, val_accuracy, val_kl, val_loss, val_reconstruction"]),
        (["search.mode=maximize"], ["override: search.mode: 'maximize' is unknown; legal: max, min"]),
        (["search.mode=max"], ["override: search.mode: max seeks the worst val_loss; legal: min"]),
        (["search.metric=val_accuracy", "search.mode=min"], ["override: search.mode: min seeks the worst val_accuracy; legal: max"]),
        (["search.mode=max", "search.trials=x"], [
            "override: search.mode: max seeks the worst val_loss; legal: min",
            "override: search.trials: 'x' is of the wrong type; legal: a whole number",
        ]),
        (["data.validation_fraction=0"], ["FILE: search.metric: val_loss needs validation images; legal: data.validation_fraction > 0, or a train_ metric"]),
        (["search.trials=0"], ["override: search.trials: 0 is out of range; legal: >= 1"]),
        (["search.concurrent=0"], ["override: search.concurrent: 0 is out of range; legal: >= 1"]),
        (["search.concurrent=1.5"], ["override: search.concurrent: 1.5 is of the wrong type; legal: a whole number"]),
        (["search.sampler.name=bayes"], ["override: search.sampler.name: 'bayes' is unknown; legal: random, tpe"]),
        (["search.sampler=tpe"], ["override: search.sampler: 'tpe' is of the wrong type; legal: a mapping of names to values"]),
        (["search.sampler.name=randm"], ["override: search.sampler.name: 'randm' is unknown; did you mean random? legal: random, tpe"]),
        (["search.retention.best=0"], ["override: search.retention.best: 0 is out of range; legal: >= 1"]),
        (["search.time_budget=0", "search.epoch_timeout=-1"], [
            "override: search.epoch_timeout: -1 is out of range; legal: > 0",
            "override: search.time_budget: 0 is out of range; legal: > 0",
        ]),
        (["search=[]"], ["override: search: [] is of the wrong type; legal: a mapping of names to values"]),
        (["search=null"], ["override: search: null is of the wrong type; legal: a mapping of names to values"]),
        (["search.scheduler=asha"], ["override: search.scheduler: 'asha' is of the wrong type; legal: a mapping of names to values"]),
        (["constraints=[]"], ["override: constraints: [] is of the wrong type; legal: a mapping of names to values"]),
        (["constraints={parameters: {min: 3, max: 2}}"], ["override: constraints.parameters.max: 2 is below min 3; legal: >= 3"]),
        (["constraints.mult_adds={}"], ["override: constraints.mult_adds: bounds nothing; legal: min, max, or both"]),
        (["constraints.parameters=3"], ["override: constraints.parameters: 3 is of the wrong type; legal: a mapping of names to values"]),
        (["constraints.parameters={min: -1, mx: 2}"], [
            "override: constraints.parameters.min: -1 is out of range; legal: >= 0",
            "override: constraints.parameters.mx: unknown; did you mean max? legal: max, min",
        ]),
    ],
)  # fmt: skip
def test_faults_of_the_settings(desk: Desk, overrides: list[str], lines: list[str]) -> None:
    assert desk.refusal(desk.search, SEARCH, *overrides) == lines


@pytest.mark.parametrize("value", ["two", "-1", "[1]", "null", "true", ".nan", ".inf", "1.5", "1e-5", "{}", "Auto"])
def test_what_is_no_share_of_a_gpu(desk: Desk, value: str) -> None:
    (line,) = desk.refusal(desk.search, SEARCH, f"search.resources.gpu={value}")
    assert line.endswith(" is no share of a GPU; legal: auto, 0 to 1 (from 0.0001), a whole number")


@pytest.mark.parametrize(("value", "gpu"), [("auto", "auto"), ("0", 0), ("0.25", 0.25), ("1", 1), ("2", 2), ("2.0", 2)])
def test_shares_of_a_gpu(desk: Desk, value: str, gpu: float | str) -> None:
    assert desk.search(SEARCH, f"search.resources.gpu={value}").search.resources.gpu == gpu


@pytest.mark.parametrize(
    ("value", "reason"),
    [("0", "0 is out of range; legal: >= 0.0001"), ("two", "'two' is of the wrong type; legal: a number")],
)
def test_what_is_no_share_of_a_cpu(desk: Desk, value: str, reason: str) -> None:
    assert desk.refusal(desk.search, SEARCH, f"search.resources.cpu={value}") == [
        f"override: search.resources.cpu: {reason}"
    ]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["grace_period=28"], "grace_period: 28 is above the 27 epochs that a trial has; legal: <= 27"),
        (["grace_period=10", "max_t=9"], "grace_period: 10 is above the 9 epochs that a trial has; legal: <= 9"),
        (["grace_period=0"], "grace_period: 0 is out of range; legal: >= 1"),
        (["max_t=0"], "max_t: 0 is out of range; legal: >= 1"),
        (["reduction_factor=1"], "reduction_factor: 1 is out of range; legal: > 1"),
        (["reduction_factor=0.5"], "reduction_factor: 0.5 is out of range; legal: > 1"),
        (
            ["reduction_factor=1.0000001"],
            "reduction_factor: 1.0000001 makes 32958371 rungs of 27 epochs; legal: such as 2 to 4",
        ),
        (["brackets=0"], "brackets: 0 is out of range; legal: >= 1"),
        (
            ["brackets=4", "grace_period=3"],
            "brackets: 4 brackets, but 27 epochs with grace_period 3 and reduction_factor 3 have 3 rungs, so that some would be empty; legal: <= 3",
        ),
        (["name=hyperband"], "name: 'hyperband' is unknown; legal: asha, none"),
    ],
)
def test_faults_of_the_scheduler(desk: Desk, overrides: list[str], line: str) -> None:
    lines = desk.refusal(desk.search, SEARCH, *(f"search.scheduler.{override}" for override in overrides))
    assert lines == [f"override: search.scheduler.{line}"]


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
    assert desk.search(SEARCH, *fields, f"search.scheduler.brackets={most}").search.scheduler.brackets == most
    (line,) = desk.refusal(desk.search, SEARCH, *fields, f"search.scheduler.brackets={most + 1}")
    assert line.endswith(f"have {most} rungs, so that some would be empty; legal: <= {most}")


def test_searched_epochs_bound_the_grace_period_by_their_most(desk: Desk) -> None:
    text = SEARCH + "  training.epochs: {int: [5, 30]}\n"
    assert desk.search(text, "search.scheduler.grace_period=30").longest == 30
    (line,) = desk.refusal(desk.search, text, "search.scheduler.grace_period=31")
    assert line.endswith("31 is above the 30 epochs that a trial has; legal: <= 30")


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("val_loss", "min"), ("val_accuracy", "max"), ("train_loss", "min"), ("train_accuracy", "max")],
)
def test_the_direction_follows_from_the_metric(metric: str, direction: str) -> None:
    assert SearchSettings.model_validate({"metric": metric}).direction == direction
    assert SearchSettings.model_validate({"metric": metric, "mode": direction}).direction == direction


def test_bounds_are_inclusive() -> None:
    bound = Bound(min=2, max=3)
    assert [bound.holds(value) for value in (1.9, 2, 3, 3.1)] == [False, True, True, False]
    assert (Bound(max=3).holds(0), Bound(min=3).holds(9)) == (True, True)
    assert (bound.legal, Bound(max=3).legal) == (">= 2 and <= 3", "<= 3")
    assert ConstraintsSpec().parameters is None


def test_the_seed_of_the_search_is_its_own_or_the_experiments(desk: Desk) -> None:
    assert desk.search(SEARCH, "seed=5").seed == 5
    assert desk.search(SEARCH, "seed=5", "search.seed=0").seed == 0


def test_an_experiment_of_every_configuration_of_a_search(desk: Desk) -> None:
    spec = desk.search(SEARCH + "  training.batch_size: {int: [32, 34]}\n", "training.optimizer.lr=0.1")
    experiments = {config_key(config): spec.experiment(config) for config in spec.space.enumerate()}
    assert [made.training.batch_size for made in experiments.values()] == [32, 33, 34]
    assert len(set(experiments.values())) == 3
