"""Charts of what a search cost: results against size and time, and when workers trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import pandas as pd
import plotly.graph_objects as go

from tune.record.trial import TrialRecord
from tune.report.analysis import front
from tune.report.charts.style import (
    INK,
    STATUS_COLORS,
    STATUS_SYMBOLS,
    WORDS,
    around_one,
    empty_figure,
    label,
    log_axis,
    scaled,
)
from tune.spec.metric import Metric, Objective


def tradeoff(trials: pd.DataFrame, column: str, title: str, unit: str, objective: Objective) -> go.Figure:
    """A metric against what it costs, with the trials that no other beats in both."""
    name = objective.metric.name
    figure = empty_figure(title, unit, label(objective))
    known = trials.dropna(subset=[name, column])
    best = front(known, column, objective)
    figure.add_scatter(
        x=best[column], y=best[name], mode="lines", name="best trade-offs",
        line={"color": INK, "dash": "dot", "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    _points(figure, known, column, name)
    return scaled(figure, objective)


def _points(figure: go.Figure, known: pd.DataFrame, column: str, name: str) -> None:
    """A marker for each trial, by status; a logarithmic axis where the values span magnitudes."""
    for status, group in known.groupby("status", sort=False):
        figure.add_scatter(
            x=group[column], y=group[name], mode="markers", name=WORDS[str(status)], customdata=group["trial"],
            marker={"color": STATUS_COLORS[str(status)], "symbol": STATUS_SYMBOLS[str(status)], "size": 8},
            hovertemplate="trial %{customdata}: %{x:,.4g}, %{y:.4g}<extra></extra>",
        )  # fmt: skip
    if len(known) and known[column].min() > 0 and known[column].max() > 20 * known[column].min():
        figure.update_xaxes(log_axis(known[column].min(), known[column].max()))
    figure.update_xaxes(around_one(known[column].tolist()))


def objectives(trials: pd.DataFrame, first: Metric, other: Metric) -> go.Figure:
    """Two of several objectives against each other; the trials that no other dominates are on the line."""
    axis = Objective(first)
    figure = empty_figure(f"{first.name} against {other.name}", label(Objective(other)), label(axis))
    known = trials.dropna(subset=[first.name, other.name])
    front = known[known["front"] == 1].sort_values(other.name)
    shape = "hv" if other.goal == "min" else "vh"
    figure.add_scatter(
        x=front[other.name], y=front[first.name], mode="lines+markers", name="front", hoverinfo="skip",
        line={"color": INK, "dash": "dot", "shape": shape}, marker={"symbol": "circle-open", "size": 14},
    )  # fmt: skip
    _points(figure, known, other.name, first.name)
    if other.unit == "%":
        figure.update_xaxes(tickformat=".1%")
    return scaled(figure, axis)


def time_unit(seconds: float) -> tuple[str, int]:
    """In what to show durations up to this one: the unit, and its seconds."""
    return ("hours", 3600) if seconds > 3 * 3600 else ("minutes", 60) if seconds > 180 else ("seconds", 1)


Span = tuple[TrialRecord, datetime, datetime]
"""A trial with its start and its end."""


def lanes(spans: Iterable[Span]) -> list[list[Span]]:
    """Trials by the worker that ran them, inferred from times: a lane is free when its last trial has ended."""
    found: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: (span[1], span[2], span[0].number)):
        lane = next((lane for lane in found if lane[-1][2] <= span[1]), None)
        if lane is None:
            found.append(lane := [])
        lane.append(span)
    return found


def idle_share(workers: Sequence[Sequence[Span]]) -> float:
    """The part of the workers' time, from the first start to the last end, in which they trained nothing."""
    begin, end = min(lane[0][1] for lane in workers), max(lane[-1][2] for lane in workers)
    whole = (end - begin).total_seconds() * len(workers)
    busy = sum((stop - start).total_seconds() for lane in workers for _, start, stop in lane)
    return max(0.0, 1 - busy / whole) if whole else 0.0


def timeline(workers: Sequence[Sequence[Span]]) -> go.Figure:
    """When each trial ran, with a row for each worker (`lanes`); gaps are idle time."""
    first = min(lane[0][1] for lane in workers)
    unit, seconds = time_unit((max(lane[-1][2] for lane in workers) - first).total_seconds())
    title, height = "When trials ran (gaps are idle workers)", 170 + 40 * len(workers)
    figure = empty_figure(title, f"{unit} since the first trial", "", height=height)
    rows = [(number, *span) for number, lane in enumerate(workers, 1) for span in lane]
    for status in dict.fromkeys(str(trial.status) for _, trial, _, _ in rows):
        own = [row for row in rows if str(row[1].status) == status]
        figure.add_bar(
            base=[(start - first).total_seconds() / seconds for _, _, start, _ in own],
            x=[(end - start).total_seconds() / seconds for _, _, start, end in own],
            y=[f"worker {number}" for number, *_ in own],
            orientation="h",
            name=WORDS[status],
            customdata=[trial.number for _, trial, _, _ in own],
            marker={"color": STATUS_COLORS[status], "line": {"color": "white", "width": 1}},
            hovertemplate=f"trial %{{customdata}}, {WORDS[status]}: %{{x:.2f}} {unit}<extra></extra>",
        )
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[f"worker {len(workers) - n}" for n in range(len(workers))],
        ticklabelstandoff=6,
    )
    return figure.update_layout(bargap=0.2, barmode="overlay", showlegend=True)
