"""A search in a paragraph of plain words, generated from its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from data.words import counted, label, listed
from tune.record.status import Status
from tune.report.findings import Findings
from tune.spec.dotted import short_names
from tune.spec.metric import METRICS, Objective

MATTERED, HARDLY = 0.05, 0.03  # shares of the importance

_WORDS = {
    Status.COMPLETED: "ran to completion",
    Status.STOPPED: "were stopped early",
    Status.RUNNING: "are running",
    Status.WAITING: "are waiting",
    Status.PAUSED: "are paused",
    Status.DIVERGED: "diverged",
    Status.OUT_OF_MEMORY: "ran out of memory",
    Status.INFEASIBLE: "could not be trained",
    Status.FAILED: "failed",
}
_WORDS_OF_ONE = {
    Status.STOPPED: "was stopped early",
    Status.RUNNING: "is running",
    Status.WAITING: "is waiting",
    Status.PAUSED: "is paused",
}


def paragraph(found: Findings) -> list[str]:
    """What was searched, what it cost, what came out, and what mattered."""
    if not len(found.trials):
        return [f"This search has tried no configuration of {_searched(found)}."]
    ranked = found.trials.dropna(subset=[found.objective.metric.name])
    sentences = [
        f"This search tried {counted(len(found.trials), 'configuration')} of {_searched(found)}.",
        *_cost(found),
    ]
    if ranked.empty:
        return [*sentences, "No trial has a result yet." if _open(found) else "No trial produced a result."]
    return [*sentences, _best(ranked.iloc[0], found.objective), *_mattered(found.shares)]


def _searched(found: Findings) -> str:
    fields, base = found.search.space.domains, found.search.base
    names = list(short_names(list(fields)).values())
    data = label(base["data"]["name"], base["data"].get("path"))
    models = "several models" if "model.name" in fields else f"the model {base['model']['name']}"
    return f"{counted(len(fields), 'field')} ({listed(names)}) for {models} on {data}"


def _cost(found: Findings) -> list[str]:
    counts = found.trials["status"].value_counts()
    present = [status for status in Status if str(status) in counts]
    parts = [f"{counts[status]:,} {_words(status, int(counts[status]))}" for status in present]
    spent, most = len(found.epochs), found.search.longest * len(found.trials)
    further = sum(len(trial.every_epoch) - len(trial.epochs) for trial in found.search.trials)
    told = Status.STOPPED in present and not _open(found)
    saved = f", {100 * (1 - spent / most):.0f} % fewer than without early stopping" if told else ""
    more = f", and {counted(further, 'epoch')} of further seeds" if further else ""
    seconds = float(found.trials["seconds"].sum())
    cost = f"Training took {_duration(seconds)} in {counted(spent, 'epoch')}{saved}{more}."
    what = f"Of these, {listed(parts)}." if len(found.trials) > 1 else f"It {_words(present[0], 1)}."
    return [what, *([cost] if spent else [])]


def _words(status: Status, number: int) -> str:
    return _WORDS_OF_ONE.get(status, _WORDS[status]) if number == 1 else _WORDS[status]


def _best(best: pd.Series[Any], objective: Objective) -> str:
    known = [metric for name, metric in METRICS.items() if name in best and pd.notna(best[name])]
    shown = sorted(
        (metric for metric in known if metric.part == objective.metric.part),
        key=lambda metric: metric != objective.metric,
    )
    values = ", ".join(
        f"{metric.name} {metric.text(best[metric.name], _float(best.get(f'{metric.name}_std')))}" for metric in shown
    )
    seeds = int(best.get("seeds", 1))
    where = f"on average over {seeds} seeds" if seeds > 1 else f"in epoch {best['best_epoch']}"
    size = f", with {int(best['parameters']):,} parameters" if pd.notna(best["parameters"]) else ""
    by = f" by {objective.metric.name}" if objective.several else ""
    return f"The best{by} is trial {best['trial']}, {where}: {values}{size}."


def _float(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _mattered(shares: Mapping[str, float]) -> list[str]:
    names = short_names(list(shares))
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    large = [f"{names[field]} ({100 * share:.0f} %)" for field, share in ranked[:3] if share >= MATTERED]
    small = [names[field] for field, share in ranked if share < HARDLY]
    rest = f"; {listed(small)} hardly mattered" if small else ""
    return [f"What mattered most was {listed(large)}{rest}."] if large else []


def _open(found: Findings) -> bool:
    return any(not Status(status).ended for status in found.trials["status"])


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} seconds"
    if seconds < 90:
        return counted(round(seconds), "second")
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
