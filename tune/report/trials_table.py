"""The ranked trials of a report as an HTML table that the page's script sorts and filters."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from data.words import counted
from tune.record.opening import Search
from tune.record.status import Status
from tune.record.tables import plain_rows
from tune.report.template import html_table
from tune.spec.dotted import short_names
from tune.spec.files import value_text
from tune.spec.metric import METRICS

MOST_NUMBERS = 8
"""Trials that are named for a reason."""
MOST_REASONS = 30


@dataclass(frozen=True)
class Column:
    """A column of the trials' table: its name there, its heading, and whether it holds text."""

    name: str
    heading: str
    text: bool


def trials_html(search: Search) -> str:
    """The table, best first; cells have their values beside what is shown, to be sorted by."""
    columns = _columns(search)
    head = "".join(f"<th tabindex=0{_kind(column)}>{html.escape(column.heading)}</th>" for column in columns)
    rows = (
        f'<tr tabindex=0 data-trial="{row["trial"]}">{"".join(_cell(of, row) for of in columns)}</tr>'
        for row in plain_rows(search.table)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _columns(search: Search) -> list[Column]:
    table, fields = search.table, short_names(search.fields)
    first = search.objective.metric.name
    metrics = [name for name in METRICS if METRICS[name].part == "val" and name in table and table[name].notna().any()]
    seeds = ("seeds",) if "seeds" in table else ()
    front, latency = ([name] if name in table else [] for name in ("front", "latency_ms"))
    ends = ("best_epoch", "epochs", "seconds", "parameters", *latency)
    plain = dict.fromkeys(("trial", *front, "status", first, *metrics, *seeds, *ends))
    headings = {name: name.replace("_", " ") for name in plain}
    placed = tuple(name for name in ("node", "gpu") if table["node"].nunique() > 1 and table[name].notna().any())
    last = (*(("proposed",) if table["proposed"].any() else ()), *placed, "reason")
    headings |= {f"config.{field}": short for field, short in fields.items()} | dict(zip(last, last, strict=True))
    return [Column(name, heading, not pd.api.types.is_numeric_dtype(table[name])) for name, heading in headings.items()]


def _kind(column: Column) -> str:
    return ' class="text"' if column.text else ""


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    value = row[column.name]
    if value is None:
        return f'<td{_kind(column)} data-value="">-</td>'
    # A boolean is text: true is not 1.
    sorted_by = value_text(value) if isinstance(value, bool) else str(value)
    return (
        f'<td{_kind(column)} data-value="{html.escape(sorted_by)}">{html.escape(_shown(column.name, value, row))}</td>'
    )


def _shown(name: str, value: Any, row: Mapping[str, Any]) -> str:
    if name in METRICS:
        return METRICS[name].text(value, row.get(f"{name}_std"))
    if name in ("status", "reason", "proposed"):
        return str(value).replace("_", " ") if name == "status" else str(value) or "-"
    if isinstance(value, float):
        return f"{value:,.1f}" if name == "seconds" else f"{value:.4g}"
    return f"{value:,}" if name == "parameters" else value_text(value)


def endings_html(trials: pd.DataFrame) -> str:
    """How many trials ended how, and why; reasons of stopped trials that differ in figures only are one."""
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in plain_rows(trials[["trial", "status", "reason"]].sort_values("trial")):
        plain = row["status"] in (Status.COMPLETED, Status.STOPPED)
        numbers[row["status"], row["reason"].partition(":")[0] if plain else row["reason"]].append(row["trial"])
    order = [str(status) for status in Status]
    kinds = sorted(numbers.items(), key=lambda item: (order.index(item[0][0]), -len(item[1])))
    rows = [
        [status.replace("_", " "), reason or "-", f"{len(found):,}", _listed(found)]
        for (status, reason), found in kinds[:MOST_REASONS]
    ]
    more = (
        f"<p class=soft>and {counted(len(kinds) - MOST_REASONS, 'more reason')}</p>"
        if len(kinds) > MOST_REASONS
        else ""
    )
    return html_table(["status", "reason", "number", "trials"], rows, text=2) + more


def _listed(numbers: Sequence[int]) -> str:
    text = ", ".join(map(str, numbers[:MOST_NUMBERS]))
    return f"{text}, ..." if len(numbers) > MOST_NUMBERS else text


def curves_json(best_by_epoch: pd.DataFrame) -> Mapping[str, tuple[list[int], list[float]]]:
    """Epochs and values by trial, for the chart of the row that is clicked."""
    found: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    columns = (best_by_epoch[name].tolist() for name in ("trial", "epoch", "value"))
    for trial, epoch, value in zip(*columns, strict=True):
        epochs, values = found[str(trial)]
        epochs.append(epoch)
        values.append(float(f"{value:.5g}"))
    return found
