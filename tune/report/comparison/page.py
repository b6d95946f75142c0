"""A comparison of runs: one HTML file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from data.words import counted, listed
from tune.report.charts.comparison import MOST_CLASSES, curves, intervals
from tune.report.comparison.compare import Comparison
from tune.report.comparison.paired import Difference
from tune.report.comparison.words import (
    ABOUT_SEEDS,
    METHODS,
    UNITS,
    difference_text,
    interval_text,
    largest,
    notes,
    p_text,
    sentences,
)
from tune.report.template import Section, drawn, fill, html_table
from tune.spec.files import value_text
from tune.spec.metric import METRICS, metrics_of


def render(comparison: Comparison) -> str:
    """The comparison as an HTML page with everything in it."""
    metric = comparison.metric
    return fill(
        "compare.html.j2",
        title=_title([run.name for run in comparison.runs]),
        subtitle=f"ranked by {metric.name}, {'lower' if metric.goal == 'min' else 'higher'} is better",
        sentences=sentences(comparison),
        cards=[],
        table=_runs(comparison),
        note=" ".join(notes(comparison)),
        sections=[*_curves(comparison), *_differences(comparison), *_settings(comparison)],
    )


def _title(names: Sequence[str]) -> str:
    return listed(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} other runs"


# -- the table of runs


def _runs(comparison: Comparison) -> str:
    rows = comparison.rows
    names = [name for name in rows[0] if name not in ("folder", "epochs") and _known(name, rows)]
    cells = [[_cell(name, row) for name in names] for row in rows]
    return html_table([name.replace("_", " ") for name in names], cells, text=1)


def _known(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(row.get(name) is not None for row in rows)


def _cell(name: str, row: Mapping[str, Any]) -> str:
    value = row.get(name)
    if name.startswith("test_"):  # of the same kinds as those of validation
        return METRICS[f"val_{name.removeprefix('test_')}"].text(value)
    if name in METRICS:
        return METRICS[name].text(value)
    if name == "best_epoch":
        return "-" if value is None else f"{value} of {row['epochs']}"
    return f"{value:,.1f}" if name == "seconds" else f"{value:,}" if name == "parameters" else str(value)


# -- the sections


def _curves(comparison: Comparison) -> list[Section]:
    kinds = [metric for metric in metrics_of(comparison.runs[0].task) if metric.part == "val"]
    if not any(len(run.epochs) for run in comparison.runs):
        return []
    return [Section("Learning curves", [drawn(curves(comparison.runs, metric)) for metric in kinds], _ABOUT_CURVES)]


_ABOUT_CURVES = "The best epoch of each run is marked."


def _differences(comparison: Comparison) -> list[Section]:
    measure, pairs = comparison.measure, [pair for pair in comparison.pairs if pair.overall is not None]
    if not pairs:
        return []
    scale, unit = 100.0 if measure == "accuracy" else 1.0, UNITS[measure]
    overall = [(f"{pair.run} minus {pair.against}", pair.overall) for pair in pairs if pair.overall is not None]
    about = f"{METHODS[measure]} {ABOUT_SEEDS}"
    named = [(pair.run, difference) for pair, (_, difference) in zip(pairs, overall, strict=True)]
    chart = intervals("Each run minus the best", unit, named, scale)  # short: a phone cuts off what is longer
    table = _difference_table(f"{measure} of", overall, measure)
    sections = [Section(f"Differences in test {measure}", [drawn(chart)], about, table)]
    for pair in pairs:
        rows = largest(pair.per_class, MOST_CLASSES)
        title = (
            f"The {len(rows)} classes that differ most" if len(pair.per_class) > len(rows) else "Difference by class"
        )
        details = _difference_table("class", pair.per_class, measure)
        every = f"<details><summary>All {counted(len(pair.per_class), 'class')}</summary>{details}</details>"
        drawing = drawn(intervals(title, unit, rows, scale))
        sections.append(Section(f"{pair.run} minus {pair.against}, by class", [drawing], _ABOUT_CLASSES, every))
    return sections


_ABOUT_CLASSES = (
    "The intervals are not adjusted for the number of classes: of 20 without a difference, about one excludes 0 by "
    "chance."
)


def _difference_table(first: str, rows: Sequence[tuple[str, Difference]], measure: str) -> str:
    head = [first, "images", f"difference, {UNITS[measure]}", "95 % interval", "p"]
    cells = (
        [name, f"{found.n:,}", difference_text(found, measure), interval_text(found, measure), p_text(found)]
        for name, found in rows
    )
    return html_table(head, cells, text=1)


def _settings(comparison: Comparison) -> list[Section]:
    """The fields in which the experiments differ."""
    head = ["field", *(run.name for run in comparison.runs)]
    rows = [
        [field, *("-" if value is None else value_text(value) for value in values)]
        for field, values in comparison.settings.items()
    ]
    table = html_table(head, rows, text=len(head)) if rows else "<p>These runs have the same experiment.</p>"
    return [Section("Settings that differ", html=table)] if len(comparison.runs) > 1 else []
