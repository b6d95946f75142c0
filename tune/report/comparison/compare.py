"""Several runs side by side: a ranked table, and whether they really differ on the test images."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tune.buckets.address import shown
from tune.errors import UserError
from tune.record.folder import RunFolder
from tune.record.same_data import UNRECORDED
from tune.report.comparison.paired import Difference, accuracy_difference, mean_difference
from tune.report.comparison.runs import ComparedRun, names, read_compared
from tune.spec.dotted import flatten
from tune.spec.metric import METRICS, Metric, Objective, metrics_of


@dataclass(frozen=True)
class Pair:
    """A run compared with another on the test images.

    Attributes:
        run: The name of the one.
        against: The name of the better-ranked one; empty where there is none to compare with.
        overall: The run minus the other: in accuracy, or in loss for an autoencoder; None where it is left out.
        per_class: The same for the images of each class that has any, by its name.
        reason: Why it is left out, and what to do.
    """

    run: str
    against: str = ""
    overall: Difference | None = None
    per_class: tuple[tuple[str, Difference], ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """Runs of one task.

    Attributes:
        runs: The best first; runs without a value of the metric come last.
        metric: What they are ranked by.
    """

    runs: tuple[ComparedRun, ...]
    metric: Metric

    @property
    def measure(self) -> str:
        """What is compared on the test images: `accuracy`, or `loss` for autoencoders."""
        return "accuracy" if self.runs[0].task == "classification" else "loss"

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A row per run, best first: epochs, metrics of the best one, test figures, cost; unknown values are None."""
        return [_row(run) for run in self.runs]

    @cached_property
    def pairs(self) -> list[Pair]:
        """Each run against the best-ranked one that was evaluated on the same images, best first."""
        groups: dict[str, list[ComparedRun]] = {}
        for run in self.runs:
            if not _unusable(run):
                groups.setdefault(run.info.data, []).append(run)
        pairs = (self._against_best(run, groups) for run in self.runs)
        return [pair for pair in pairs if pair is not None]

    def _against_best(self, run: ComparedRun, groups: Mapping[str, Sequence[ComparedRun]]) -> Pair | None:
        """None for a run that others are compared with."""
        if reason := _unusable(run):
            return Pair(run.name, reason=reason)
        same = groups[run.info.data]
        if run is not same[0]:
            return _pair(run, same[0], self.measure)
        return Pair(run.name, reason=_ALONE) if len(same) == 1 and len(groups) > 1 else None

    @cached_property
    def settings(self) -> dict[str, list[Any]]:
        """The fields in which the runs' experiments differ, with each run's value; None where it has no such field."""
        trees = [flatten(run.experiment.to_tree()) | {"full": run.info.full} for run in self.runs]
        fields = dict.fromkeys(field for tree in trees for field in tree)
        values = {field: [tree.get(field) for tree in trees] for field in fields}
        return {field: found for field, found in values.items() if any(value != found[0] for value in found)}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "metric": self.metric.name,
            "runs": self.rows,
            "settings": self.settings,
            "measure": self.measure,
            "differences": [_pair_row(pair) for pair in self.pairs],
        }


def compare(folders: Sequence[RunFolder]) -> Comparison:
    """Read runs and rank them.

    Raises:
        UserError: a run is given twice, or they are of different tasks.
        WorkError: a file of a run is damaged.
        SpecError: `experiment.yaml` is damaged.
    """
    paths = [folder.path.resolve() for folder in folders]
    if twice := sorted({str(path) for path in paths if paths.count(path) > 1}):
        raise UserError(f"{twice[0]} is given twice; give each run once")
    runs = [read_compared(folder, name) for folder, name in zip(folders, names(paths), strict=True)]
    _refuse_mixed(runs)
    metric = _ranked_by(runs)
    objective = Objective(metric)
    costs = {run.name: objective.cost(run.best) for run in runs}
    ranked = sorted(runs, key=lambda run: np.inf if (cost := costs[run.name]) is None else cost)
    return Comparison(tuple(ranked), metric)


def _refuse_mixed(runs: Sequence[ComparedRun]) -> None:
    first = runs[0]
    for run in runs:
        if run.task != first.task:
            raise UserError(
                f"cannot compare {first.name} ({first.experiment.model.name}, {first.task}) with {run.name} "
                f"({run.experiment.model.name}, {run.task}); give runs of one task"
            )


def _ranked_by(runs: Sequence[ComparedRun]) -> Metric:
    """What chose the best epochs, if that is the same in all runs with validation images; else the validation loss."""
    chosen = {run.info.metric for run in runs if METRICS[run.info.metric].part == "val"}
    if len(chosen) == 1:
        return METRICS[chosen.pop()]
    validation = next(metric for metric in metrics_of(runs[0].task) if metric.part == "val")
    return validation if chosen else METRICS[runs[0].info.metric]


def _row(run: ComparedRun) -> dict[str, Any]:
    best, scores = run.best, run.evaluation
    kinds = [metric for metric in metrics_of(run.task) if metric.name in run.epochs or metric.part == "val"]
    return {
        "run": run.name,
        "folder": shown(run.folder.path),
        "best_epoch": int(best["epoch"]) if best else None,
        "epochs": len(run.epochs),
        **{metric.name: _number(best.get(metric.name)) for metric in kinds},
        **{f"test_{metric.kind}": _number(scores.get(metric.kind)) for metric in kinds if metric.part == "val"},
        "seconds": float(run.epochs["seconds"].sum()),
        "parameters": run.info.parameters,
    }


def _pair_row(pair: Pair) -> dict[str, Any]:
    found = asdict(pair.overall) if pair.overall else {}
    per_class = [{"name": name, **asdict(difference)} for name, difference in pair.per_class]
    return {"run": pair.run, "against": pair.against or None, "reason": pair.reason, **found, "per_class": per_class}


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


# -- comparing


_ALONE = "no other of these runs was evaluated on the same images"


def _unusable(run: ComparedRun) -> str:
    """Why a run cannot be compared with any other; empty where it can."""
    if run.predictions is None:
        return f"not evaluated; run: imagetune evaluate {shlex.quote(shown(run.folder.path))}"
    if run.info.data == UNRECORDED:
        return "it was made before imagetune recorded its images; train and evaluate it again"
    return ""


def _pair(run: ComparedRun, best: ComparedRun, measure: str) -> Pair:
    assert run.predictions is not None
    assert best.predictions is not None
    if measure == "loss" and run.experiment.training.beta != best.experiment.training.beta:
        return Pair(run.name, best.name, reason=f"its loss has another training.beta than that of {best.name}")
    both = run.predictions.merge(best.predictions, on=["index", "label", "label_name"], suffixes=("", "_best"))
    if not len(both) == len(run.predictions) == len(best.predictions):
        return Pair(run.name, best.name, reason=f"its predictions are of other images than those of {best.name}; "
                    "evaluate both again")  # fmt: skip
    compared = _accuracy if measure == "accuracy" else _loss
    groups = both.groupby("label", sort=True)
    per_class = tuple((str(group["label_name"].iloc[0]), compared(group)) for _, group in groups)
    return Pair(run.name, best.name, compared(both), per_class)


def _accuracy(both: pd.DataFrame) -> Difference:
    label = both["label"].to_numpy()
    return accuracy_difference(both["predicted"].to_numpy() == label, both["predicted_best"].to_numpy() == label)


def _loss(both: pd.DataFrame) -> Difference:
    return mean_difference(both["loss"].to_numpy(), both["loss_best"].to_numpy())
