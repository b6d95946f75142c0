"""What the tables of a search say: figures behind the report's charts and sentences."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.trial import create_trial

from search_spaces import Space
from tune.environment import no_garbage_collection
from tune.record.as_optuna import params, quiet_optuna
from tune.record.trial import TrialRecord
from tune.spec.metric import Objective

LEAST_TRIALS = 3
"""Fewer trials say nothing about a correlation or an importance."""


def running_best(epochs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """The best value so far of each epoch of each trial.

    Args:
        epochs: As `epochs.parquet`.
        objective: What trials are judged by.

    Returns:
        Columns `trial`, `epoch`, `value` (that of the epoch), `best` (the best of the trial up to it). Epochs without a
        finite value are left out.
    """
    table = epochs[["trial", "epoch"]].copy()
    table["value"] = pd.to_numeric(epochs[objective.metric.name], errors="coerce").astype("float64")
    table = pd.DataFrame(table[np.isfinite(table["value"])]).sort_values(["trial", "epoch"], kind="stable")
    values = table.groupby("trial")["value"]
    table["best"] = values.cummin() if objective.metric.goal == "min" else values.cummax()
    return table.reset_index(drop=True)


def best_by_epochs_spent(epochs: pd.DataFrame, ends: Sequence[float], objective: Objective) -> pd.DataFrame:
    """The best value of the whole search by epochs of training spent, in the order in which these ended.

    Args:
        epochs: As `epochs.parquet`.
        ends: When each of them ended, as `TrialRecord.epoch_ends`.
        objective: What trials are judged by.

    Returns:
        Columns `spent` (epochs, from 1), `best`, `trial` (whose epoch it is). Epochs without a finite value are spent
        too, but have no row.
    """
    table = epochs.iloc[np.argsort(np.asarray(ends, float), kind="stable")]
    values = pd.to_numeric(table[objective.metric.name], errors="coerce").astype("float64")
    known = np.isfinite(values.to_numpy())
    best = values[known].cummin() if objective.metric.goal == "min" else values[known].cummax()
    spent = np.flatnonzero(known) + 1
    return pd.DataFrame({"spent": spent, "best": best.to_numpy(), "trial": table["trial"].to_numpy()[known]})


def budget_correlation(epochs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """How well the ranking of trials after an epoch predicts their ranking at the end: Spearman's rank correlation.

    The end is the last epoch that at least `LEAST_TRIALS` trials reached; only trials that reached it count, since the
    others have no end to compare with. It is high at the grace period of a scheduler that stops the right trials.

    Returns:
        Columns `epoch`, `correlation` (-1 to 1), `trials`; empty with fewer than `LEAST_TRIALS` such trials.
    """
    table = running_best(epochs, objective)
    best = table.pivot(index="epoch", columns="trial", values="best").ffill()
    length = table.groupby("trial")["epoch"].max()
    if len(length) < LEAST_TRIALS:
        return pd.DataFrame({"epoch": [], "correlation": [], "trials": []})
    end = length.nlargest(LEAST_TRIALS).iloc[-1]
    reached = length.index[length >= end]
    ranks = best.loc[:end, reached].rank(axis=1)
    correlation = ranks.corrwith(ranks.iloc[-1], axis=1)
    return pd.DataFrame({"epoch": ranks.index, "correlation": correlation.to_numpy(), "trials": len(reached)})


def common_epoch(trials: list[TrialRecord]) -> int:
    """The latest epoch that at least half of the trials with any epoch reached; 0 without any."""
    reached = sorted((len(trial.epochs) for trial in trials if trial.epochs), reverse=True)
    return reached[(len(reached) - 1) // 2] if reached else 0


@no_garbage_collection()
def importances(trials: list[TrialRecord], space: Space, objective: Objective) -> Mapping[str, float]:
    """How much each field mattered: shares that add up to 1, largest first.

    By PED-ANOVA (Watanabe et al. 2023, https://arxiv.org/abs/2304.10255) as Optuna does it, over all trials at a common
    epoch: trials that were stopped early count too, which Optuna alone leaves out. Fields that are not set in every
    trial are left out.

    Returns:
        Empty with fewer than `LEAST_TRIALS` trials, or where all have the same value.
    """
    epoch, costs = common_epoch(trials), {}
    for trial in trials:
        best = objective.best(trial.epochs[:epoch]) if len(trial.epochs) >= epoch else None
        if best is not None:
            costs[trial.number] = objective.cost(best.values)
    if len(costs) < LEAST_TRIALS or len(set(costs.values())) == 1:
        return {}
    drawn = {trial.number: params(space, trial.config) for trial in trials if trial.number in costs}
    fields = _varying(list(drawn.values()))
    if not fields:
        return {}
    optuna_importance = _optuna_importance()
    with quiet_optuna(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of experimental features, and of trials too alike to be told apart
        study = optuna.create_study(direction="minimize")
        study.add_trials(
            create_trial(
                params={field: values[field] for field in fields},
                distributions={field: distributions[field] for field in fields},
                value=costs[number],
            )
            for number, (values, distributions) in drawn.items()
        )
        evaluator = optuna_importance.PedAnovaImportanceEvaluator()
        found = optuna_importance.get_param_importances(study, evaluator=evaluator, params=fields)
    return {field: share for field, share in found.items() if math.isfinite(share)}


@cache
def _optuna_importance() -> Any:
    """`optuna.importance` without scikit-learn, which takes a second to import and which PED-ANOVA does not use.

    Optuna's other evaluators do. Whoever imports the module elsewhere gets another one, with them.
    """
    name = "optuna.importance"
    if name in sys.modules or "sklearn" in sys.modules:
        return import_module(name)
    lazy = optuna.importance
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # `import sklearn` fails, as if it were not installed
    try:
        return import_module(name)
    finally:
        for loaded in [other for other in sys.modules if other == "sklearn" or other.startswith(name)]:
            del sys.modules[loaded]
        optuna.importance = lazy


def _varying(drawn: Sequence[tuple[Mapping[str, Any], Mapping[str, BaseDistribution]]]) -> list[str]:
    """Fields that every trial has and that take more than one value."""
    shared = [field for field in drawn[0][0] if all(field in values for values, _ in drawn)]
    return [field for field in shared if len({values[field] for values, _ in drawn}) > 1]


def front(trials: pd.DataFrame, column: str, objective: Objective) -> pd.DataFrame:
    """The trials that no other beats both in the objective and in a column that should be small, by that column."""
    name, ascending = objective.metric.name, objective.metric.goal == "min"
    known = trials.dropna(subset=[name, column]).sort_values([column, name], ascending=[True, ascending])
    sign = 1 if ascending else -1
    best = (sign * known[name].astype("float64")).cummin()
    return known[(sign * known[name].astype("float64") <= best) & ~known[name].duplicated()]
