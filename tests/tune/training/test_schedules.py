"""Learning rates and momenta as their formulas say; schedules that look at losses, and what they are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from data import Resident
from tune.optim.schedules import cosine
from tune.spec.recipe import ScheduleSpec
from tune.training import Training, train
from tune.training.loop import OnStep
from tune.training.splits import steps_per_epoch

from .conftest import Start

LR, STEPS = 0.4, 4  # 100 images in batches of 32


def at_every_step(training: Training, monkeypatch: pytest.MonkeyPatch, key: str = "lr") -> list[Any]:
    """The learning rate, or another of the optimizer's values, that every step of the training is taken with."""
    told: list[Any] = []
    group, update = training._optimizer_step.optimizer.param_groups[-1], training._optimizer_step.update

    def noted() -> None:
        told.append(group[key])
        update()

    monkeypatch.setattr(training._optimizer_step, "update", noted)
    train(training)
    return told


def scheduled(start: Start, epochs: int, **schedule: Any) -> Training:
    return start(epochs=epochs, optimizer={"name": "sgd", "lr": LR, "momentum": 0.9}, schedule=schedule)


def test_multistep_falls_after_its_milestones(start: Start) -> None:
    training = scheduled(start, 6, name="multistep", milestones=[2, 5], gamma=0.1)
    train(training)
    assert [metrics.lr for metrics in training.history] == pytest.approx([LR, LR, LR / 10, LR / 10, LR / 10, LR / 100])


def test_cosine_warms_up_by_epochs(start: Start) -> None:
    training = scheduled(start, 6, name="cosine", warmup_epochs=2, min_lr=0.1)
    train(training)
    down = [0.1 + 0.15 * (1 + math.cos(math.pi * done / 4)) for done in range(4)]
    assert [metrics.lr for metrics in training.history] == pytest.approx([LR / 3, 2 * LR / 3, *down])


def test_cosine_by_batches_warms_up_within_epochs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    training = scheduled(start, 3, name="cosine", per_batch=True, warmup_epochs=0.5)
    told = at_every_step(training, monkeypatch)
    up = [LR / 3, LR * 2 / 3]  # half an epoch has two steps; the third is the peak
    down = [LR / 2 * (1 + math.cos(math.pi * done / 10)) for done in range(10)]
    assert told == pytest.approx([*up, *down])


@given(st.integers(1, 400), st.floats(0, 0.99), st.floats(0, 1))
def test_cosine_rises_to_the_peak_and_falls_to_the_least(total: int, share: float, least: float) -> None:
    warm_up = share * total
    values = [cosine(time, warm_up=warm_up, total=total, least=least) for time in range(total + 1)]
    peak = math.ceil(warm_up)
    assert all(0 < value <= 1 + 1e-12 for value in values[:-1])
    assert all(one < other for one, other in pairwise(values[:peak]))
    assert all(one >= other for one, other in pairwise(values[peak:]))
    assert values[-1] == pytest.approx(least, abs=1e-12)
    assert (
        cosine(total + 9, warm_up=warm_up, total=total, least=least) == values[-1]
    )  # more epochs than it is laid over


@pytest.mark.parametrize("warm_up", [0, 1, 3, 50])
@pytest.mark.parametrize("total", [1, 2, 10, 60, 1000])
@pytest.mark.parametrize("least", [0.0, 0.1, 1.0])
def test_cosine_is_that_of_torch_where_torch_has_one(warm_up: int, total: int, least: float) -> None:
    if warm_up >= total:
        return
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler: LRScheduler = CosineAnnealingLR(optimizer, total - warm_up, least * LR)
    if warm_up:
        up = LinearLR(optimizer, 1 / (warm_up + 1), 1.0, warm_up)
        scheduler = SequentialLR(optimizer, [up, scheduler], [warm_up])
    for time in range(total):
        rate = LR * cosine(time, warm_up=warm_up, total=total, least=least)
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=0, abs=1e-12)
        optimizer.step()
        scheduler.step()


SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant"},
    {"name": "step"},
    {"name": "multistep", "milestones": [1]},
    {"name": "cosine"},
    {"name": "cosine", "per_batch": True},
    {"name": "onecycle"},
    {"name": "plateau"},
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("images", "batch_size", "steps"), [(1, 1, 1), (1, 64, 1), (2, 64, 1), (33, 32, 1), (34, 32, 2)]
)
def test_the_smallest_trainings_run(
    start: Start, schedule: dict[str, Any], images: int, batch_size: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"train_limit": images} if images > 10 else {}
    training = start(epochs=1, batch_size=batch_size, schedule=schedule, data=data)
    if images <= 10:
        part = training.splits.train
        few = Resident(part.images[:images], part.labels[:images] * 0, normalization=part.normalization, classes=1)
        splits = replace(training.splits, train=few, validation=None, classes=("one",))
        training = Training(training.experiment, splits, device=torch.device("cpu"))
    told = at_every_step(training, monkeypatch)
    assert len(told) == steps == steps_per_epoch(images, batch_size)
    assert all(rate > 0 for rate in told)
    assert training.best is training.history[0]


@pytest.mark.parametrize(("optimizer", "key"), [("sgd", "momentum"), ("adam", "betas"), ("muon", "betas")])
def test_onecycle_cycles_the_momentum_where_asked(
    start: Start, optimizer: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(
        model={"name": "mnist_cnn"},
        epochs=4,
        optimizer={"name": optimizer, "lr": LR} | ({"momentum": 0.9} if optimizer == "sgd" else {}),
        schedule={"name": "onecycle", "cycle_momentum": True, "pct_start": 0.25},
    )
    values = at_every_step(training, monkeypatch, key)
    told = [value if key == "momentum" else value[0] for value in values]
    assert told[0] == pytest.approx(0.95)
    assert min(told) == pytest.approx(0.85)
    assert told.index(min(told)) == 3  # at the peak of the learning rate, after a quarter of 16 steps
    assert told[-1] == pytest.approx(0.95)


def losses(training: Training, values: Sequence[float], name: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate of each epoch, were these the losses measured."""
    script = iter(values)
    plain = training._train

    def scripted(epoch: int, on_step: OnStep | None) -> tuple[dict[str, float], float]:
        metrics, lr = plain(epoch, on_step)
        return ({**metrics, "train_loss": next(script)} if name == "train_loss" else metrics), lr

    monkeypatch.setattr(training, "_train", scripted)
    if name == "val_loss":
        monkeypatch.setattr(training, "_validate", lambda diverged: {"val_loss": next(script), "val_accuracy": 0.5})
    train(training)
    return [metrics.lr for metrics in training.history]


@pytest.mark.parametrize("name", ["val_loss", "train_loss"])
def test_plateau_falls_when_patience_is_spent(start: Start, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"validation_fraction": 0.0, "train_limit": 100} if name == "train_loss" else {}
    training = start(
        epochs=8,
        data=data,
        optimizer={"name": "sgd", "lr": LR},
        schedule={"name": "plateau", "factor": 0.25, "patience": 1, "min_lr": 0.02},
    )
    # Worse twice: down. Better by less than .01 % is no better: down again, but not below the least.
    told = losses(training, [1.0, 2.0, 2.0, 0.5, 0.49999, 0.6, 0.6, 0.6], name, monkeypatch)
    assert told == pytest.approx([LR, LR, LR, LR / 4, LR / 4, LR / 4, LR / 16, LR / 16])


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_plateau_goes_on_where_it_stood(start: Start, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [1.0, 2.0, 2.0, 2.0, 0.5, 2.0]
    fields: dict[str, Any] = {"epochs": 6, "schedule": {"name": "plateau", "patience": 1}}
    whole, first, second = start(**fields), start(**fields, options={"epochs": stop}), start(**fields)
    expected = losses(whole, script, "val_loss", monkeypatch)
    losses(first, script, "val_loss", monkeypatch)
    second.load(first.state())
    assert losses(second, script[stop:], "val_loss", monkeypatch) == expected
    assert len(set(expected)) == 2


def test_swa_may_have_a_learning_rate_of_its_own(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    training = start(
        epochs=8,
        optimizer={"name": "sgd", "lr": LR},
        schedule={"name": "onecycle"},
        averaging={"name": "swa", "start": 0.5, "lr": 0.1, "anneal_epochs": 2},
    )
    told = at_every_step(training, monkeypatch)
    assert len(told) == 8 * STEPS
    before = told[4 * STEPS - 1]
    assert told[4 * STEPS : 5 * STEPS] == pytest.approx([(before + 0.1) / 2] * STEPS, rel=0.1)  # half way by a cosine
    assert told[5 * STEPS :] == pytest.approx([0.1] * 3 * STEPS)


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "onecycle", "plateau"])
def test_defaults_of_other_names_may_be_spelled_out(name: str) -> None:
    spec = ScheduleSpec.model_validate({"name": name})
    assert ScheduleSpec.model_validate(spec.model_dump(mode="json")) == spec
