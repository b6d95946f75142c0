"""The report of a search: one HTML file that opens without a network."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tune.record.opening import Search
from tune.record.search_yaml import made_with
from tune.record.status import Status
from tune.record.tables import epochs_table, plain_rows
from tune.report import charts
from tune.report.analysis import common_epoch, importances, running_best
from tune.report.summary import paragraphs
from tune.report.template import Section, drawn, fill
from tune.spec.dotted import short_names
from tune.spec.files import dump_yaml, value_text
from tune.spec.metric import METRICS, Objective


def render(search: Search) -> str:
    """The report of a search as an HTML page with everything in it."""
    objective, trials, epochs = search.objective, search.table, epochs_table(search.trials)
    shares = importances(list(search.trials), search.spec.space, objective)
    columns = _columns(search)
    return fill(
        "report.html.j2",
        title=search.folder.name,
        subtitle=f"{objective.metric.name}, {'lower' if objective.metric.goal == 'min' else 'higher'} is better",
        sentences=paragraphs(search.spec, trials, epochs, shares, objective),
        cards=_cards(trials, epochs, objective),
        columns=columns,
        rows=[_row(row, columns) for row in plain_rows(trials)],
        chosen=drawn(charts.one_trial(objective), "chosen"),
        curves=_curves(epochs, objective),
        sections=_sections(search, epochs, shares),
    )


def _cards(trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective) -> list[tuple[str, str]]:
    best = trials.dropna(subset=[objective.metric.name]).head(1).to_dict("records")
    shown = [
        (f"best {name}", METRICS[name].text(best[0][name]))
        for name in METRICS
        if best and METRICS[name].part == objective.metric.part and pd.notna(best[0].get(name))
    ]
    seconds = float(trials["seconds"].sum())
    return [*shown, ("trials", f"{len(trials):,}"), ("epochs", f"{len(epochs):,}"), ("minutes", f"{seconds / 60:,.1f}")]


# -- the table


def _columns(search: Search) -> list[dict[str, Any]]:
    """The columns to show: name in the table, heading, and whether it holds text."""
    table, fields = search.table, short_names(list(search.spec.space.domains))
    metrics = [name for name in METRICS if METRICS[name].part == "val" and name in table and table[name].notna().any()]
    plain = ("trial", "status", "best_epoch", "epochs", *metrics, "seconds", "parameters")
    headings = {name: name.replace("_", " ") for name in plain}
    headings |= {f"config.{field}": short for field, short in fields.items()} | {"reason": "reason"}
    return [
        {"name": name, "heading": heading, "text": not pd.api.types.is_numeric_dtype(table[name])}
        for name, heading in headings.items()
    ]


def _row(row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    cells = [
        {
            "text": column["text"],
            "value": "" if row[column["name"]] is None else row[column["name"]],
            "shown": "-" if row[column["name"]] is None else _shown(column["name"], row[column["name"]]),
        }
        for column in columns
    ]
    return {"trial": row["trial"], "cells": cells}


def _shown(name: str, value: Any) -> str:
    if name in METRICS:
        return METRICS[name].text(value)
    if isinstance(value, float):
        return f"{value:,.1f}" if name == "seconds" else f"{value:.4g}"
    return f"{value:,}" if name == "parameters" else value_text(value)


def _curves(epochs: pd.DataFrame, objective: Objective) -> dict[str, list[list[float]]]:
    """Epochs and values by trial, for the chart of the row that is clicked."""
    return {
        str(trial): [own["epoch"].tolist(), [float(f"{value:.6g}") for value in own["value"]]]
        for trial, own in running_best(epochs, objective).groupby("trial")
    }


# -- the sections


def _sections(search: Search, epochs: pd.DataFrame, shares: Mapping[str, float]) -> list[Section]:
    results = _results(search, epochs, shares) if search.table[search.objective.metric.name].notna().any() else []
    return [*results, _statuses(search.table), *map(_winner, _evaluated(search)), _setup(search)]


def _results(search: Search, epochs: pd.DataFrame, shares: Mapping[str, float]) -> list[Section]:
    """The charts, which need at least one trial with a result."""
    space, trials, objective, scheduler = (
        search.spec.space,
        search.table,
        search.objective,
        search.spec.search.scheduler,
    )
    names = short_names(list(space.domains))
    fields = [charts.parameter(name, space.domains[name], trials, objective, names[name]) for name in space.domains]
    grace = None if scheduler.name == "none" else scheduler.grace_period
    sizes = charts.tradeoff(trials, "parameters", "Result against size", "parameters", objective)
    times = charts.tradeoff(trials, "seconds", "Result against training time", "seconds of training", objective)
    sections = [
        Section("Progress", [drawn(charts.progress(epochs, objective))], "Trials are taken by number."),
        Section("Learning curves", [drawn(charts.learning_curves(trials, epochs, objective))]),
    ]
    if shares:
        bars = charts.importance_bars(shares, common_epoch(list(search.trials)))
        sections.append(Section("What mattered", [drawn(bars)], _ABOUT_IMPORTANCE))
    sections.append(Section("Each field against the result", [drawn(chart) for chart in fields]))
    if len(names) > 1:
        sections.append(Section("All fields together", [drawn(charts.parallel(space, trials, objective))]))
    if (chart := charts.budget(epochs, objective, grace)) is not None:
        sections.append(Section("Is the grace period right?", [drawn(chart)], _ABOUT_BUDGET))
    sections.append(Section("Result against cost", [drawn(sizes), drawn(times)]))
    spans = [(trial, trial.started, trial.ended_at) for trial in search.trials]
    if any(start and end for _, start, end in spans):
        sections.append(Section("Workers", [drawn(charts.timeline(spans))]))
    return sections


_ABOUT_IMPORTANCE = "Share of each field in the importance, by PED-ANOVA over all trials that reached this epoch."
_ABOUT_BUDGET = (
    "Rank correlation between each trial's best value after an epoch and at the end, over the trials that reached the "
    "last epoch. Where it is near 1, stopping at that epoch keeps the right trials."
)


def _statuses(trials: pd.DataFrame) -> Section:
    """How many trials ended how; reasons that differ in figures only count as one."""
    kinds = Counter((row["status"], row["reason"].partition(":")[0]) for row in plain_rows(trials))
    order = [str(status) for status in Status]
    rows = "".join(
        f"<tr><td class=text>{html.escape(status)}<td class=text>{html.escape(reason) or '-'}<td>{count}"
        for (status, reason), count in sorted(kinds.items(), key=lambda item: (order.index(item[0][0]), -item[1]))
    )
    head = "<tr><th class=text>status<th class=text>reason<th>trials"
    table = f"<div class=scroll><table>{head}{rows}</table></div>"
    return Section("How trials ended", html=table if rows else "<p>There are no trials yet.</p>")


def _evaluated(search: Search) -> list[Path]:
    return sorted(path.parent for path in search.folder.winners.glob("*/evaluation.json"))


def _winner(folder: Path) -> Section:
    """What `evaluate` drew of a retrained trial."""
    pictures = "".join(_picture(path) for path in sorted((folder / "figures").glob("*.png")))
    return Section(f"Winner {folder.name}, evaluated", html=f"<div class=pair>{pictures}</div>")


def _picture(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{content}">'


def _setup(search: Search) -> Section:
    text = dump_yaml({**search.spec.to_tree(), "made_with": made_with(search.folder)})
    details = f"<details><summary>search.yaml</summary><pre>{html.escape(text)}</pre></details>"
    return Section("Configuration, versions and data", html=details)
