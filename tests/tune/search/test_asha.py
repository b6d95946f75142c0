"""ASHA: Ray's decisions, ours where few results stand, and rungs put back from the record."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from tests.tune.search.simulation import metrics
from tune.record.status import Status
from tune.record.study import TrialRecord
from tune.search.schedulers.asha import Asha
from tune.spec.metric import METRICS, Objective
from tune.spec.search import SchedulerSpec

LOSS = st.floats(0.01, 10, allow_nan=False)


def asha(max_t: int = 27, grace: int = 1, factor: float = 3, brackets: int = 1, direction: Any = "min") -> Asha:
    spec = SchedulerSpec(max_t=max_t, grace_period=grace, reduction_factor=factor, brackets=brackets)
    metric = {"min": "val_loss", "max": "val_accuracy"}[direction]
    return Asha(spec, max_t, Objective(METRICS[metric]), seed=5)


@settings(max_examples=60, deadline=None)
@given(
    curves=st.lists(st.lists(LOSS, min_size=9, max_size=9), min_size=3, max_size=12),
    direction=st.sampled_from(["min", "max"]),
)
def test_decisions_are_those_of_rays_asha_once_enough_stand(curves: list[list[float]], direction: Any) -> None:
    """Trials run one after the other through both; the first two at a rung pass ours, whatever Ray says."""
    ours = asha(9, direction=direction)
    theirs: Any = AsyncHyperBandScheduler(
        time_attr="epoch", metric="loss", mode=direction, max_t=9, grace_period=1, reduction_factor=3
    )
    judged = 0
    for number, curve in enumerate(curves):
        trial = SimpleNamespace(trial_id=str(number))
        theirs.on_trial_add(None, trial)
        for epoch, loss in enumerate(curve[:8], start=1):  # at max_t Ray stops every trial
            standing = dict(ours.rungs).get(epoch)
            reason = ours.judge(number, epoch, loss)
            action = theirs.on_trial_result(None, trial, {"epoch": epoch, "loss": loss})
            if standing is not None and standing < 2:
                assert reason is None
            else:
                assert (reason is not None) == (action == TrialScheduler.STOP)
                judged += 1
            if reason is not None:
                break
    assert judged > 0


def test_rungs_are_the_grace_period_times_powers_of_the_factor() -> None:
    assert [epoch for epoch, _ in asha(40, grace=5).rungs] == [5, 15]
    assert [epoch for epoch, _ in asha(90, grace=12, factor=2).rungs] == [12, 24, 48]
    assert [epoch for epoch, _ in asha(9).rungs] == [1, 3, 9]


@settings(max_examples=40, deadline=None)
@given(curves=st.lists(st.lists(LOSS, min_size=1, max_size=9), min_size=1, max_size=8), last=LOSS)
def test_a_replayed_scheduler_judges_as_the_one_that_lived(curves: list[list[float]], last: float) -> None:
    lived, replayed = asha(9, brackets=2), asha(9, brackets=2)
    records = []
    for number, curve in enumerate(curves):
        for epoch, loss in enumerate(curve, start=1):
            lived.judge(number, epoch, loss)
        epochs = tuple(metrics(epoch, loss) for epoch, loss in enumerate(curve, start=1))
        records.append(TrialRecord(number, {}, Status.STOPPED, epochs=epochs))
    replayed.replay(records, "val_loss")
    assert replayed.rungs == lived.rungs
    assert replayed.judge(99, 1, last) == lived.judge(99, 1, last)


def test_a_trial_that_goes_on_is_judged_again_where_it_stands() -> None:
    records = [TrialRecord(n, {}, Status.COMPLETED, epochs=(metrics(1, 1.0),)) for n in range(3)]
    waiting = TrialRecord(3, {}, Status.WAITING, epochs=(metrics(1, 5.0),))
    rebuilt = asha(9)
    rebuilt.replay([*records, waiting], "val_loss")
    assert dict(rebuilt.rungs)[1] == 3
    assert rebuilt.judge(3, 1, 5.0) == "asha: 5 at epoch 1, cut-off 1"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stands_at_no_rung(value: float) -> None:
    scheduler = asha()
    assert scheduler.judge(0, 1, value) is None
    assert sum(count for _, count in scheduler.rungs) == 0


def test_brackets_follow_from_the_seed_and_favour_those_of_more_rungs() -> None:
    one, two = asha(27, brackets=3), asha(27, brackets=3)
    drawn = [one.bracket_of(number) for number in range(2000)]
    assert drawn == [two.bracket_of(number) for number in range(2000)]
    shares = [drawn.count(bracket) / 2000 for bracket in range(3)]
    expected = [math.exp(rungs) for rungs in (4, 3, 2)]
    assert shares == pytest.approx([weight / sum(expected) for weight in expected], abs=0.04)
