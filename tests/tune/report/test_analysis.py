"""The figures behind a report, against formulas and small cases done by hand."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence

import pandas as pd
import pytest

from search_spaces import parse_space
from tests.tune.runs.folders import curve
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.report import analysis
from tune.spec.metric import METRICS, Objective

LOSS, ACCURACY = Objective(METRICS["val_loss"]), Objective(METRICS["val_accuracy"])


def epochs_of(*curves: Sequence[float]) -> pd.DataFrame:
    """One trial per curve of validation losses; its accuracies are 1 - loss."""
    rows = [
        {"trial": trial, "epoch": epoch, "val_loss": loss, "val_accuracy": 1 - loss}
        for trial, losses in enumerate(curves)
        for epoch, loss in enumerate(losses, start=1)
    ]
    return pd.DataFrame(rows, columns=["trial", "epoch", "val_loss", "val_accuracy"])


def test_the_best_so_far_of_each_trial() -> None:
    table = analysis.running_best(epochs_of([0.5, 0.7, 0.4], [0.9, math.nan, math.inf, 0.8]), LOSS)
    assert table["best"].tolist() == [0.5, 0.5, 0.4, 0.9, 0.8]
    assert analysis.running_best(epochs_of([0.5, 0.7, 0.4]), ACCURACY)["best"].tolist() == pytest.approx(
        [0.5, 0.5, 0.6]
    )


def test_the_best_of_the_search_by_epochs_spent() -> None:
    table = analysis.best_by_epochs_spent(epochs_of([0.5, 0.4], [0.6], [math.nan], [0.3]), [2, 5, 1, 3, 4], LOSS)
    assert table["spent"].tolist() == [1, 2, 4, 5], "the third epoch to end has no value"
    assert table["best"].tolist() == [0.6, 0.5, 0.3, 0.3]
    assert table["trial"].tolist() == [1, 0, 3, 0]
    assert analysis.best_by_epochs_spent(epochs_of(), [], LOSS).empty


def test_budget_correlation_is_spearmans_between_an_epoch_and_the_end() -> None:
    """Ranks at epoch 1 are 1, 2, 3 and at the end 1, 3, 2: 1 - 6 (0 + 1 + 1) / (3 (9 - 1)) = .5."""
    whole = [[0.1, 0.05], [0.2, 0.15], [0.3, 0.10]]
    table = analysis.budget_correlation(epochs_of(*whole, [0.01]), LOSS)  # the last was stopped: it has no end
    assert table["epoch"].tolist() == [1, 2]
    assert table["correlation"].tolist() == pytest.approx([0.5, 1.0])
    assert table["trials"].tolist() == [3, 3]
    assert analysis.budget_correlation(epochs_of(*whole[:2]), LOSS).empty
    assert analysis.budget_correlation(epochs_of(), LOSS).empty


def test_the_common_epoch_is_one_that_half_of_the_trials_reached() -> None:
    def trials(*lengths: int) -> list[TrialRecord]:
        return [
            TrialRecord(n, {}, Status.STOPPED, epochs=tuple(curve([0.5] * length))) for n, length in enumerate(lengths)
        ]

    assert analysis.common_epoch(trials(1, 1, 3, 9)) == 3
    assert analysis.common_epoch(trials(1, 1, 1, 9)) == 1
    assert analysis.common_epoch(trials(0, 0)) == 0


def test_a_field_that_decides_matters_and_one_that_does_not_does_not() -> None:
    space, _ = parse_space({"a": {"float": [0, 1]}, "b": {"float": [0, 1]}, "c": {"choice": ["x", "y"]}}, {})
    trials = [
        TrialRecord(
            number,
            {"a": (number % 10) / 10, "b": (number * 7 % 40) / 40, "c": "xy"[number % 2]},
            Status.STOPPED if number % 3 else Status.COMPLETED,
            epochs=tuple(curve([1 + (number % 10), 0.1 + (number % 10)])),
        )
        for number in range(40)
    ]
    shares = analysis.importances(trials, space, LOSS)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["a"] > 0.8
    assert analysis.importances(trials[:2], space, LOSS) == {}
    assert analysis.importances([], space, LOSS) == {}
    same = [TrialRecord(n, trial.config, trial.status, epochs=tuple(curve([0.5]))) for n, trial in enumerate(trials)]
    assert sum(analysis.importances(same, space, LOSS).values()) <= 1.0001


def test_the_front_holds_what_no_other_trial_beats_in_both() -> None:
    trials = pd.DataFrame({
        "trial": [0, 1, 2, 3, 4],
        "parameters": [100, 200, 300, 200, 50],
        "val_loss": [0.5, 0.4, 0.45, 0.6, None],
    })  # fmt: skip
    assert analysis.front(trials, "parameters", LOSS)["trial"].tolist() == [0, 1]
    assert analysis.front(trials.assign(val_accuracy=1 - trials["val_loss"]), "parameters", ACCURACY)[
        "trial"
    ].tolist() == [0, 1]


def test_importances_need_no_scikit_learn_and_leave_optunas_own_as_they_are() -> None:
    """In a process of its own, since others have imported scikit-learn here."""
    program = """
import sys, optuna
from tune.report.analysis import _optuna_importance
evaluator = _optuna_importance().PedAnovaImportanceEvaluator()
print(sorted({"sklearn", "scipy.stats"} & set(sys.modules)))
print(type(optuna.importance.FanovaImportanceEvaluator()).__name__, "sklearn" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "FanovaImportanceEvaluator True"]
