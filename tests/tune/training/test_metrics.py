"""Which epoch is the best, and when early stopping is out of patience."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.spec.metric import METRICS, EpochMetrics, Objective
from tune.training import best_of
from tune.training.metrics import out_of_patience

LOSS, ACCURACY = Objective(METRICS["val_loss"]), Objective(METRICS["val_accuracy"])


def history(*losses: float, metric: str = "val_loss") -> list[EpochMetrics]:
    return [EpochMetrics(i, {"train_loss": 1.0, metric: loss}, 0.1, 1.0) for i, loss in enumerate(losses, start=1)]


@pytest.mark.parametrize(
    ("values", "objective", "epoch"),
    [
        ((3.0, 1.0, 2.0), LOSS, 2),
        ((3.0, 1.0, 2.0), ACCURACY, 1),
        ((2.0, 1.0, 1.0), LOSS, 2),  # the earlier of two equals
        ((math.nan, 5.0, math.nan), LOSS, 2),
        ((math.nan, 5.0, math.nan), ACCURACY, 2),
        ((math.inf, 5.0), LOSS, 2),
        ((-math.inf, 5.0), LOSS, 2),
        ((math.inf, 5.0), ACCURACY, 2),
    ],
)
def test_the_best_epoch(values: tuple[float, ...], objective: Objective, epoch: int) -> None:
    epochs = history(*values, metric=objective.metric.name)
    assert best_of(epochs, objective) is objective.best(epochs) is epochs[epoch - 1]


def test_there_is_no_best_of_nothing_or_of_nans() -> None:
    assert best_of([], LOSS) is None
    assert best_of(history(math.nan, math.nan), LOSS) is None
    assert best_of(history(math.inf), LOSS) is None


def test_without_validation_images_the_latest_epoch_that_did_not_diverge_is_the_best() -> None:
    epochs = history(1.0, 2.0, math.nan, metric="train_loss")
    assert best_of(epochs, LOSS) is best_of(epochs[:2], LOSS) is epochs[1]
    assert best_of(epochs[2:], LOSS) is None


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
    spent = [n for n in range(len(losses) + 1) if out_of_patience(losses[:n], patience, min_delta)]
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
