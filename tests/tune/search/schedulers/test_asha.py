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
from tune.record.trial import TrialRecord
from tune.search.schedulers.asha import Asha, PromotingAsha, StoppingAsha
from tune.search.schedulers.verdict import CONTINUE, Action
from tune.spec.metric import METRICS, Objective
from tune.spec.options.schedulers import AshaSpec

LOSS = st.floats(0.01, 10, allow_nan=False)


def asha(max_t: int = 27, grace: int = 1, factor: float = 3, brackets: int = 1, direction: Any = "min") -> Asha:
    spec = AshaSpec(max_t=max_t, grace_period=grace, reduction_factor=factor, brackets=brackets)
    metric = {"min": "val_loss", "max": "val_accuracy"}[direction]
    return StoppingAsha(spec, max_t, Objective(METRICS[metric]), seed=5)


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
            verdict = ours.judge(number, epoch, loss)
            action = theirs.on_trial_result(None, trial, {"epoch": epoch, "loss": loss})
            if standing is not None and standing < 2:
                assert verdict is CONTINUE
            else:
                assert (verdict.action is Action.STOP) == (action == TrialScheduler.STOP)
                judged += 1
            if verdict is not CONTINUE:
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
    assert rebuilt.judge(3, 1, 5.0).reason == "asha: 5 at epoch 1, cut-off 1"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stands_at_no_rung(value: float) -> None:
    scheduler = asha()
    assert scheduler.judge(0, 1, value) is CONTINUE
    assert sum(count for _, count in scheduler.rungs) == 0


def test_brackets_follow_from_the_seed_and_favour_those_of_more_rungs() -> None:
    one, two = asha(27, brackets=3), asha(27, brackets=3)
    drawn = [one.bracket_of(number) for number in range(2000)]
    assert drawn == [two.bracket_of(number) for number in range(2000)]
    shares = [drawn.count(bracket) / 2000 for bracket in range(3)]
    expected = [math.exp(rungs) for rungs in (4, 3, 2)]
    assert shares == pytest.approx([weight / sum(expected) for weight in expected], abs=0.04)


def promoting(max_t: int = 9) -> PromotingAsha:
    return PromotingAsha(AshaSpec(type="promotion", max_t=max_t), max_t, Objective(METRICS["val_loss"]), seed=5)


def test_the_best_third_of_a_rung_is_promoted_the_highest_rung_first() -> None:
    """Li et al. 2018, algorithm 2 (get_job), with reduction factor 3."""
    scheduler = promoting()
    for number, loss in enumerate([5.0, 4.0, 6.0, 3.0, 7.0]):
        assert scheduler.judge(number, 1, loss).action is Action.PAUSE
    assert scheduler.promote(last=False) == 3  # one of five
    assert scheduler.promote(last=False) is None
    scheduler.judge(5, 1, 2.0)
    assert scheduler.promote(last=False) == 5  # two of six
    assert scheduler.judge(3, 3, 1.0).action is Action.PAUSE
    assert scheduler.judge(5, 3, 1.5).action is Action.PAUSE
    scheduler.judge(6, 1, 1.0)
    scheduler.judge(7, 1, 9.0)
    scheduler.judge(8, 1, 1.8)
    assert scheduler.promote(last=False) == 6
    scheduler.judge(6, 3, 1.2)
    assert scheduler.promote(last=False) == 3  # from epoch 3, before number 8 from epoch 1
    assert scheduler.judge(3, 9, 0.5) is CONTINUE  # the last epoch: it ends by itself


def test_no_more_than_a_third_continues_however_good_the_newcomers() -> None:
    """A sampler that learns proposes ever better trials: each is the best of its rung when it comes."""
    scheduler, promoted = promoting(), 0
    for number in range(30):
        scheduler.judge(number, 1, 1 / (1 + number))
        while scheduler.promote(last=False) is not None:
            promoted += 1
        assert promoted == (number + 1) // 3


def test_every_second_promotion_is_that_of_the_trial_of_most_promise() -> None:
    scheduler = promoting()
    scheduler.promise = dict(enumerate([-9.0, -8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0])).copy
    for number in range(9):
        scheduler.judge(number, 1, float(number))  # the later, the worse so far
    assert [scheduler.promote(last=False) for _ in range(4)] == [0, 8, 1, None]


def test_a_sampler_that_knows_too_little_changes_nothing() -> None:
    scheduler = promoting()
    scheduler.promise = dict
    for number in range(9):
        scheduler.judge(number, 1, float(number))
    assert [scheduler.promote(last=False) for _ in range(4)] == [0, 1, 2, None]


def test_when_nothing_else_can_run_the_best_of_the_highest_rung_goes_on() -> None:
    scheduler = promoting()
    scheduler.judge(0, 1, 2.0)
    scheduler.judge(1, 1, 1.0)
    assert scheduler.promote(last=False) is None
    assert scheduler.promote(last=True) == 1
    scheduler.judge(1, 3, 1.0)
    assert scheduler.promote(last=True) == 1
    assert scheduler.promote(last=True) is None


@given(losses=st.lists(LOSS, min_size=1, max_size=12), left=st.integers(0, 12), data=st.data())
def test_a_hopeless_trial_is_never_promoted_whatever_is_expected(losses: list[float], left: int, data: Any) -> None:
    scheduler = promoting()
    promise = data.draw(st.lists(LOSS, min_size=24, max_size=24))
    scheduler.promise = dict(enumerate(promise)).copy
    hopeless, promoted = set[int](), list[int]()
    for number in range(len(losses) + left):
        scheduler.judge(number, 1, losses[number] if number < len(losses) else data.draw(LOSS))
        if data.draw(st.booleans()) and (chosen := scheduler.promote(last=False)) is not None:
            promoted.append(chosen)
            assert chosen not in hopeless
        coming = len(losses) + left - number - 1
        hopeless |= scheduler.hopeless(coming, set(range(number + 1)) - set(promoted))
    promoted += [*iter(lambda: scheduler.promote(last=False), None), *iter(lambda: scheduler.promote(last=True), None)]
    assert not hopeless & set(promoted)


@given(losses=st.lists(LOSS, min_size=1, max_size=12), left=st.integers(0, 12), data=st.data())
def test_a_hopeless_trial_is_never_promoted_whatever_comes(losses: list[float], left: int, data: Any) -> None:
    scheduler = promoting()
    for number, loss in enumerate(losses):
        scheduler.judge(number, 1, loss)
    hopeless = scheduler.hopeless(left, range(len(losses)))
    for number in range(left):
        scheduler.judge(len(losses) + number, 1, data.draw(LOSS))
    promoted = set(iter(lambda: scheduler.promote(last=False), None)) | {scheduler.promote(last=True)}
    assert not hopeless & promoted
    allowed = max((len(losses) + left) // 3, 1)
    assert len(hopeless) == max(len(losses) - allowed, 0)


def test_a_replayed_scheduler_knows_who_was_promoted() -> None:
    records = [
        TrialRecord(0, {}, Status.PAUSED, epochs=(metrics(1, 4.0),), facts={"paused": 1}),
        TrialRecord(
            1, {}, Status.PAUSED, epochs=tuple(metrics(e, 1.0) for e in (1, 2, 3)), facts={"paused": 3, "promoted": 1}
        ),
        TrialRecord(2, {}, Status.WAITING, epochs=(metrics(1, 2.0),), facts={"paused": 1, "promoted": 1}),
        TrialRecord(3, {}, Status.RUNNING, epochs=(metrics(1, 3.0),)),  # not judged yet
        *(TrialRecord(n, {}, Status.STOPPED, epochs=(metrics(1, 5.0),)) for n in range(4, 9)),
    ]
    scheduler = promoting()
    scheduler.replay(records, "val_loss")
    assert dict(scheduler.rungs) == {1: 8, 3: 1, 9: 0}
    assert scheduler.judge(3, 1, 3.0).action is Action.PAUSE
    assert scheduler.promote(last=False) == 3  # the third of nine, since 1 and 2 were promoted
