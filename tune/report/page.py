"""The report of a search: one HTML file that opens without a network."""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from data.words import counted, noun, shortened
from tune.environment import no_garbage_collection
from tune.record.opening import Search
from tune.record.pareto import hypervolume
from tune.record.search_status import status_of
from tune.record.status import Status
from tune.report import advice, winners
from tune.report.analysis import common_epoch
from tune.report.charts import costs, curves, fields
from tune.report.charts.style import better
from tune.report.findings import Findings
from tune.report.summary import paragraph
from tune.report.template import Section, drawn, fill, html_table
from tune.report.trials_table import curves_json, endings_html, trials_html
from tune.report.winners import Winner, mean_accuracy, read_winners
from tune.runs.versions import imagetune_version
from tune.spec.dotted import short_names
from tune.spec.files import dump_yaml
from tune.spec.metric import METRICS, Objective

MOST_LISTED = 30
"""Classes by name among what the search was made with."""


@no_garbage_collection()
def render(search: Search) -> str:
    """The report of a search as an HTML page with everything in it."""
    found, retrained = Findings(search), read_winners(search.folder, search.table)
    return fill(
        "report.html.j2",
        title=search.folder.name,
        subtitle=_subtitle(search),
        sentences=[_unbroken(sentence) for sentence in paragraph(found)],
        steps=[_unbroken(step) for step in advice.next_steps(found)],
        cards=_cards(found, retrained),
        table=trials_html(search) if search.trials else "",
        chosen=drawn(curves.one_trial(search.objective), "chosen") if len(found.best_by_epoch) else "",
        curves=curves_json(found.best_by_epoch),
        sections=_sections(found, retrained),
    )


def _unbroken(text: str) -> str:
    """The text without line breaks before percent signs."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _subtitle(search: Search) -> str:
    status, now = status_of(search), datetime.now(UTC)
    ended = sum(trial.status.ended for trial in search.trials)
    state = str(status)
    if status.status == "running":
        state = f"running: {ended:,} of {counted(status.target, 'trial')}"
    metric = search.objective
    by = f"the front of {metric.text}" if metric.several else f"{metric.metric.name} ({better(metric)})"
    return f"{state}; trials are ranked by {by}; written by imagetune {imagetune_version()}, {now:%Y-%m-%d %H:%M} UTC"


def _cards(found: Findings, retrained: list[Winner]) -> list[tuple[str, str]]:
    shown = _values_of_best(found)
    if (test := mean_accuracy(retrained)) is not None:
        shown.append((f"test accuracy, {_trial(retrained[0].trial)}", METRICS["val_accuracy"].text(test)))
    seconds = float(found.trials["seconds"].sum())
    unit, one = costs.time_unit(seconds)
    counts = [
        (noun(len(rows), thing), f"{len(rows):,}") for thing, rows in (("trial", found.trials), ("epoch", found.epochs))
    ]
    return [*shown, *counts, (f"{unit} of training", f"{seconds / one:,.1f}")]


def _trial(number: int) -> str:
    """The name of a trial, in one line."""
    return f"trial\N{NO-BREAK SPACE}{number}"


def _values_of_best(found: Findings) -> list[tuple[str, str]]:
    """The metrics of the first trial; another may be better in those that it is not ranked by."""
    objective, ranked = found.objective, found.trials.dropna(subset=[found.objective.metric.name])
    rows = ranked.head(1).to_dict("records")
    best_in = None if objective.several else objective.metric.name
    return [
        (
            f"best {name}" if name == best_in else f"{name}, {_trial(row['trial'])}",
            METRICS[name].text(row[name], row.get(f"{name}_std")),
        )
        for row in rows
        for name in METRICS
        if METRICS[name].part == objective.metric.part and pd.notna(row.get(name))
    ]


# -- the sections


def _sections(found: Findings, retrained: list[Winner]) -> list[Section]:
    results = _results(found) if found.trials[found.objective.metric.name].notna().any() else []
    ended = [Section("Trials by status", html=endings_html(found.trials))] if len(found.trials) else []
    return [*winners.sections(retrained), *results, *_workers(found.search), *ended, _setup(found.search)]


def _results(found: Findings) -> list[Section]:
    """The charts, which need at least one trial with a result."""
    space, trials, objective = found.search.space, found.trials, found.objective
    names = short_names(list(space.domains))
    ranked = trials.dropna(subset=[objective.metric.name])
    sections = [
        *_tradeoffs(found),
        Section(
            "Progress",
            [drawn(curves.progress(found.best_so_far, objective))],
            _ABOUT_PROGRESS,
        ),
        Section("Learning curves", [drawn(curves.learning_curves(trials, found.epochs, objective))]),
    ]
    if found.shares:
        bars = fields.importance_bars(found.shares, common_epoch(list(found.search.trials)))
        sections.append(Section("What mattered", [drawn(bars)], _ABOUT_IMPORTANCE))
    if len(ranked) < 2:  # nothing to compare it with
        return sections
    order = sorted(names, key=lambda name: -found.shares.get(name, 0))  # those that mattered most come first
    order = [name for name in order if ranked[f"config.{name}"].notna().any()]  # others have never been in play
    scatters = [fields.parameter(name, space.domains[name], trials, objective, names[name]) for name in order]
    sections.append(Section("Each field against the result", [drawn(chart) for chart in scatters]))
    if len(names) > 1:
        chart = drawn(fields.parallel(space, trials, objective))
        sections.append(Section("All fields together", [chart], _ABOUT_PARALLEL, wide=True))
    return [*sections, *_grace_period(found), _costs(trials, objective)]


def _tradeoffs(found: Findings) -> list[Section]:
    """With several objectives: each against the first, and the trials that no other dominates."""
    search = found.search
    if not search.objective.several:
        return []
    first, *others = search.objective.every
    charts = [drawn(costs.objectives(found.trials, first, other)) for other in others]
    volume = hypervolume(search.points)
    about = (
        f"The front has {len(search.front)} of {counted(len(found.trials), 'trial')}: no other trial dominates them."
    )
    if volume is not None:
        about += (
            f" Their hypervolume is {volume:.3f}: the share of the box between the worst (the reference point) and the "
            "best value of each objective that they dominate."
        )
    return [Section("Trade-offs", charts, about)]


def _grace_period(found: Findings) -> list[Section]:
    if len(found.correlation) < 2 or found.correlation["correlation"].isna().all():
        return []
    grace = found.search.settings.scheduler.grace
    chart = drawn(curves.budget(found.correlation, grace))
    title = "How early can a trial be judged?" if grace is None else "Is the grace period right?"
    return [Section(title, [chart], f"{advice.judgement(found)} {_ABOUT_BUDGET}")]


def _costs(trials: pd.DataFrame, objective: Objective) -> Section:
    """Accuracy where it is known, since people weigh it more easily than a loss."""
    if "val_accuracy" in trials and trials["val_accuracy"].notna().any():
        objective = Objective(METRICS["val_accuracy"])
    sizes = costs.tradeoff(trials, "parameters", "Result against size", "parameters", objective)
    times = costs.tradeoff(trials, "seconds", "Result against training time", "seconds of training", objective)
    return Section("Result against cost", [drawn(sizes), drawn(times)])


_ABOUT_PROGRESS = "Epochs are taken in the order in which they ended."
_ABOUT_IMPORTANCE = "Share of each field in the importance, by PED-ANOVA over all trials that reached this epoch."
_ABOUT_PARALLEL = "A line is a trial; the darker, the better. Fields that only some trials have are left out."
_ABOUT_BUDGET = (
    "The chart shows the rank correlation between the best value of each trial after an epoch and at the end, over the "
    "trials that reached the end. Where it is near 1, a scheduler that stops trials at that epoch keeps the right ones."
)


def _workers(search: Search) -> list[Section]:
    """When trials ran; a trial that still runs has run for as long as its epochs took."""
    spans = [
        (trial, trial.started, trial.ended_at or trial.started + timedelta(seconds=trial.seconds))
        for trial in search.trials
        if trial.started and (trial.ended_at or trial.status is Status.RUNNING)
    ]
    if not spans:
        return []
    workers = costs.lanes(spans)
    idle = costs.idle_share(workers)
    about = f"Between the first start and the last end, workers were idle for {100 * idle:.0f} % of the time."
    return [Section("Workers", [drawn(costs.timeline(workers))], about)]


def _setup(search: Search) -> Section:
    """What the search was made with, and its description."""
    made = search.tree.get("made_with") or {}
    rows = [[_SETUP.get(key, key), _setup_text(value)] for key, value in made.items()]
    table = html_table(["made with", ""], rows, text=2) if rows else ""
    text = html.escape(dump_yaml({key: value for key, value in search.tree.items() if key != "made_with"}))
    return Section(
        "Configuration, versions and data",
        html=f"{table}<details><summary>search.yaml</summary><pre>{text}</pre></details>",
    )


_SETUP = {
    "data": "digest of the images",
    "split": "hash of the split",
    "study": "record",
    "input_shape": "channels, height, width",
}


def _setup_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return shortened(map(str, value), MOST_LISTED) if isinstance(value, list | tuple) else str(value)
