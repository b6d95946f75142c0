"""Which epoch is the best, and when patience is spent."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.training import EpochMetrics, best_of
from tune.training.metrics import patience_spent


def history(*losses: float, metric: str = "val_loss") -> list[EpochMetrics]:
    return [EpochMetrics(i, {"train_loss": 1.0, metric: loss}, 0.1, 1.0) for i, loss in enumerate(losses, start=1)]


@pytest.mark.parametrize(
    ("losses", "mode", "epoch"),
    [
        ((3.0, 1.0, 2.0), "min", 2),
        ((3.0, 1.0, 2.0), "max", 1),
        ((2.0, 1.0, 1.0), "min", 2),  # ties keep the earlier
        ((math.nan, 5.0, math.nan), "min", 2),
        ((math.nan, 5.0, math.nan), "max", 2),
        ((math.inf, 5.0), "min", 2),
    ],
)
def test_the_best_epoch(losses: tuple[float, ...], mode: str, epoch: int) -> None:
    best = best_of(history(*losses), "val_loss", mode)  # type: ignore[arg-type]
    assert best is not None
    assert best.epoch == epoch


def test_there_is_no_best_of_nothing_or_of_nans() -> None:
    assert best_of([], "val_loss", "min") is None
    assert best_of(history(math.nan, math.nan), "val_loss", "min") is None


def test_without_the_metric_the_latest_is_the_best() -> None:
    best = best_of(history(1.0, 2.0, metric="x"), "val_loss", "min")
    assert best is not None
    assert best.epoch == 2


@pytest.mark.parametrize(
    ("losses", "patience", "min_delta", "spent_after"),
    [
        ([1.0, 0.9, 0.8, 0.7, 0.6], 2, 0.0, None),
        ([1.0, 1.1, 1.2], 2, 0.0, 3),
        ([1.0, 1.0, 1.0], 2, 0.0, 3),  # as good is not better
        ([1.0, 1.1, 0.9, 1.0, 1.0], 2, 0.0, 5),  # an improvement begins the count anew
        ([1.0, 0.9998, 0.9996, 0.9994], 3, 0.001, 4),  # too slow: all within the delta of the first
        ([1.0, 0.9995, 0.9985, 0.9980, 0.9970], 2, 0.001, None),  # small steps that add up to the delta in time
        ([1.0, math.nan, math.nan], 2, 0.0, 3),
    ],
)  # fmt: skip
def test_patience(losses: list[float], patience: int, min_delta: float, spent_after: int | None) -> None:
    spent = [n for n in range(len(losses) + 1) if patience_spent(losses[:n], patience, min_delta)]
    assert spent == ([] if spent_after is None else [spent_after])


@given(
    st.integers(1, 10_000),
    st.dictionaries(st.sampled_from(["train_loss", "train_accuracy", "val_loss", "val_accuracy"]), st.floats()),
    st.floats(0, 1),
    st.floats(0, 1e6),
)
def test_metrics_survive_json(epoch: int, values: dict[str, float], lr: float, seconds: float) -> None:
    metrics = EpochMetrics(epoch, values, lr, seconds)
    again = EpochMetrics.from_dict(json.loads(json.dumps(metrics.to_dict())))
    assert repr(again) == repr(metrics)  # repr, since NaN differs from itself
