"""The charts of a report, as plotly figures: every one has a title that says what is seen and axes with units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from search_spaces import Choice, Domain, Float, Int, Space
from tune.record.study import TrialRecord
from tune.report.analysis import best_by_epochs_spent, budget_correlation, front, running_best
from tune.spec.dotted import short_names
from tune.spec.metric import Objective

# Okabe and Ito's colors, which people with any kind of color blindness can tell apart; statuses have symbols too.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#9aa0a6",
)
STATUS_COLORS = {
    "completed": BLUE,
    "stopped": ORANGE,
    "running": GREEN,
    "waiting": SKY,
    "diverged": PURPLE,
    "out_of_memory": PURPLE,
    "infeasible": GREY,
    "failed": RED,
}
STATUS_SYMBOLS = {
    "completed": "circle",
    "stopped": "x-thin-open",
    "running": "triangle-up",
    "waiting": "circle-open",
    "diverged": "square",
    "out_of_memory": "square-open",
    "infeasible": "cross-thin-open",
    "failed": "diamond",
}
TOP = (BLUE, ORANGE, GREEN, RED, PURPLE)
"""Of the best trials, best first, in the learning curves."""


def empty_figure(title: str, x: str, y: str, *, height: int = 420) -> go.Figure:
    """A chart without data, in the style that all share; `x` and `y` are the titles of the axes."""
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 15}, "automargin": True, "yref": "container"},
        template="plotly_white",
        height=height,
        margin={"l": 64, "r": 16, "t": 56, "b": 56},
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        legend={"orientation": "h", "yanchor": "top", "y": -0.22, "xanchor": "left", "x": 0},
        hovermode="closest",
    )
    return figure


def _label(objective: Objective) -> str:
    unit = f" ({objective.metric.unit})" if objective.metric.unit == "nats" else ""
    return f"{objective.metric.name}{unit}, {'lower' if objective.metric.goal == 'min' else 'higher'} is better"


def scaled(figure: go.Figure, objective: Objective, axis: str = "yaxis") -> go.Figure:
    """Format the axis of a metric: percent where people read it so, logarithmic where values span magnitudes."""
    if objective.metric.unit == "%":
        figure.update_layout({f"{axis}_tickformat": ".1%"})
        return figure
    drawn = [float(value) for trace in figure.data for value in trace.y if value is not None]
    if drawn and min(drawn) > 0 and max(drawn) > 30 * min(drawn):
        figure.update_layout({f"{axis}_type": "log", f"{axis}_dtick": "D2"})
    return figure


def progress(epochs: pd.DataFrame, objective: Objective) -> go.Figure:
    """The best value so far against the epochs of training spent."""
    table = best_by_epochs_spent(epochs, objective)
    figure = empty_figure("Best trial so far", "epochs of training spent, over all trials", _label(objective))
    figure.add_scatter(
        x=table["spent"],
        y=table["best"],
        mode="lines",
        line={"shape": "hv", "color": BLUE, "width": 2},
        customdata=table["trial"],
        hovertemplate="after %{x} epochs: %{y:.4g} (trial %{customdata})<extra></extra>",
    )
    return scaled(figure, objective)


def learning_curves(trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective, top: int = 5) -> go.Figure:
    """Every trial's values by epoch; the best are in color, those stopped early end in a cross."""
    table = running_best(epochs, objective)
    figure = empty_figure("Learning curves of all trials", "epoch", _label(objective), height=480)
    best = trials.dropna(subset=[objective.metric.name])["trial"].head(top).tolist()
    rest = table[~table["trial"].isin(best)]
    x, y, which = _joined(rest)
    hover = "trial %{customdata}, epoch %{x}: %{y:.4g}<extra></extra>"
    figure.add_scatter(
        x=x, y=y, customdata=which, mode="lines", name="other trials", hovertemplate=hover,
        line={"color": GREY, "width": 1}, opacity=0.45,
    )  # fmt: skip
    ends = table.groupby("trial").tail(1).merge(trials[["trial", "status"]], on="trial")
    stopped = ends[ends["status"] == "stopped"]
    figure.add_scatter(
        x=stopped["epoch"], y=stopped["value"], customdata=stopped["trial"], mode="markers", name="stopped early",
        hovertemplate=hover, marker={"symbol": "x-thin-open", "color": "#5f6368", "size": 7},
    )  # fmt: skip
    for number, color in reversed(list(zip(best, TOP, strict=False))):
        own = table[table["trial"] == number]
        figure.add_scatter(
            x=own["epoch"], y=own["value"], mode="lines+markers", name=f"trial {number}",
            customdata=[number] * len(own), hovertemplate=hover, line={"color": color, "width": 2}, marker={"size": 5},
        )  # fmt: skip
    return scaled(figure, objective)


def _joined(table: pd.DataFrame) -> tuple[list[Any], list[Any], list[Any]]:
    """Many curves as one trace, with a gap between them: a trace each would make the page slow."""
    x: list[Any] = []
    y: list[Any] = []
    which: list[Any] = []
    for number, own in table.groupby("trial"):
        x += [*own["epoch"].tolist(), None]
        y += [*own["value"].tolist(), None]
        which += [number] * (len(own) + 1)
    return x, y, which


def parameter(field: str, domain: Domain, trials: pd.DataFrame, objective: Objective, title: str) -> go.Figure:
    """One field's values against the objective, by status."""
    column, name = f"config.{field}", objective.metric.name
    figure = empty_figure(title, field, _label(objective), height=340)
    known = trials.dropna(subset=[column, name])
    for status, group in known.groupby("status", sort=False):
        figure.add_scatter(
            x=[str(value) for value in group[column]] if isinstance(domain, Choice) else group[column],
            y=group[name], mode="markers", name=str(status), customdata=group["trial"],
            marker={"color": STATUS_COLORS[str(status)], "symbol": STATUS_SYMBOLS[str(status)], "size": 8},
            hovertemplate="trial %{customdata}: %{x} gives %{y:.4g}<extra></extra>",
        )  # fmt: skip
    if isinstance(domain, Choice):
        figure.update_xaxes(type="category")
    elif domain.log:
        figure.update_xaxes(type="log", dtick=1 if isinstance(domain, Float) else None)
    return scaled(figure, objective)


def parallel(space: Space, trials: pd.DataFrame, objective: Objective) -> go.Figure:
    """All fields of every trial side by side; drag along an axis to keep only the trials that pass there."""
    name = objective.metric.name
    known = trials.dropna(subset=[name])
    known = known.dropna(subset=[f"config.{field}" for field, domain in space.domains.items() if not domain.when])
    short = short_names([field for field, domain in space.domains.items() if not domain.when])
    dimensions = [_dimension(label, space.domains[field], known[f"config.{field}"]) for field, label in short.items()]
    cost = known[name].astype("float64")
    figure = empty_figure("All fields side by side (drag along an axis to filter)", "", "", height=460)
    figure.add_parcoords(
        line={
            "color": np.log10(cost) if objective.metric.kind == "loss" and (cost > 0).all() else cost,
            "colorscale": "Cividis",
            "reversescale": objective.metric.goal == "max",
        },
        dimensions=[*dimensions, {"label": name, "values": cost}],
    )
    figure.update_layout(margin={"l": 72, "r": 72, "t": 96, "b": 32})
    return figure


def _dimension(label: str, domain: Domain, values: pd.Series[Any]) -> dict[str, Any]:
    if isinstance(domain, Choice):
        names = list(dict.fromkeys(map(str, values)))
        places = [names.index(str(value)) for value in values]
        return {"label": label, "values": places, "tickvals": list(range(len(names))), "ticktext": names}
    numbers = pd.to_numeric(values).astype("float64")
    if domain.log:
        ticks = np.linspace(np.log10(domain.low), np.log10(domain.high), 5)
        texts = [f"{10**tick:.2g}" for tick in ticks]
        return {"label": label, "values": np.log10(numbers), "tickvals": ticks, "ticktext": texts}
    few = sorted(set(numbers)) if isinstance(domain, Int) and numbers.nunique() <= 12 else None
    return {"label": label, "values": numbers, **({"tickvals": few} if few else {"tickformat": ".3~g"})}


def importance_bars(shares: Mapping[str, float], epoch: int) -> go.Figure:
    """How much each field mattered."""
    names = short_names(list(shares))
    figure = empty_figure(
        f"What mattered (all trials at epoch {epoch})", "share of the importance", "", height=120 + 36 * len(shares)
    )
    figure.add_bar(
        x=list(shares.values())[::-1], y=[names[field] for field in shares][::-1], orientation="h",
        marker={"color": BLUE}, hovertemplate="%{y}: %{x:.0%}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return figure


def budget(epochs: pd.DataFrame, objective: Objective, grace_period: int | None) -> go.Figure | None:
    """Rank correlation between an epoch and the end; None where too few trials reached the end."""
    table = budget_correlation(epochs, objective)
    if len(table) < 2:
        return None
    title = f"Does an early epoch predict the end? ({table['trials'].iloc[0]} trials)"
    figure = empty_figure(title, "epoch", "rank correlation with the end")
    figure.add_scatter(
        x=table["epoch"], y=table["correlation"], mode="lines+markers", line={"color": BLUE}, showlegend=False,
        hovertemplate="epoch %{x}: %{y:.2f}<extra></extra>",
    )  # fmt: skip
    if grace_period is not None:
        line = {"dash": "dot", "color": "#5f6368"}
        figure.add_vline(x=grace_period, line=line, annotation_text="grace period", annotation_position="bottom right")
    return figure.update_yaxes(range=[min(-0.05, float(table["correlation"].min())), 1.05])


def tradeoff(trials: pd.DataFrame, column: str, title: str, unit: str, objective: Objective) -> go.Figure:
    """The objective against what it costs, with the trials that no other beats in both."""
    name = objective.metric.name
    figure = empty_figure(title, unit, _label(objective))
    known = trials.dropna(subset=[name, column])
    best = front(trials, column, objective)
    figure.add_scatter(
        x=best[column], y=best[name], mode="lines", name="best trade-offs",
        line={"color": "#5f6368", "dash": "dot", "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    for status, group in known.groupby("status", sort=False):
        figure.add_scatter(
            x=group[column], y=group[name], mode="markers", name=str(status), customdata=group["trial"],
            marker={"color": STATUS_COLORS[str(status)], "symbol": STATUS_SYMBOLS[str(status)], "size": 8},
            hovertemplate="trial %{customdata}: %{x:,.4g}, %{y:.4g}<extra></extra>",
        )  # fmt: skip
    return scaled(figure, objective)


def timeline(spans: Iterable[tuple[TrialRecord, datetime | None, datetime | None]]) -> go.Figure:
    """When each trial ran, on as many lanes as trials ran at once; gaps are idle workers.

    Args:
        spans: Trials with their start and end; those that have not ended are left out.
    """
    whole = sorted(((start, end, trial) for trial, start, end in spans if start and end), key=lambda span: span[:2])
    free: list[datetime] = []  # when each lane is free again
    bars: dict[str, list[Any]] = {key: [] for key in ("x", "base", "y", "color", "text")}
    for start, end, trial in whole:
        lane = next((index for index, ready in enumerate(free) if ready <= start), len(free))
        free[lane : lane + 1] = [end]
        bars["base"].append((start - whole[0][0]).total_seconds() / 60)
        bars["x"].append((end - start).total_seconds() / 60)
        bars["y"].append(f"worker {lane + 1}")
        bars["color"].append(STATUS_COLORS[str(trial.status)])
        bars["text"].append(f"trial {trial.number}, {trial.status}")
    title, height = "When trials ran (gaps are idle workers)", 140 + 40 * max(len(free), 1)
    figure = empty_figure(title, "minutes since the start", "", height=height)
    figure.add_bar(
        x=bars["x"], base=bars["base"], y=bars["y"], orientation="h", customdata=bars["text"],
        marker={"color": bars["color"], "line": {"color": "white", "width": 1}},
        hovertemplate="%{customdata}: %{x:.2f} minutes<extra></extra>",
    )  # fmt: skip
    return figure.update_layout(bargap=0.2)


def one_trial(objective: Objective) -> go.Figure:
    """An empty chart that the page fills with the trial that is clicked."""
    figure = empty_figure("Trial", "epoch", _label(objective), height=300)
    figure.add_scatter(x=[], y=[], mode="lines+markers", line={"color": BLUE})
    return scaled(figure, objective)
