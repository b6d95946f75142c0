"""Charts over epochs: the best so far, learning curves, and what an early epoch says about the end."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from data.words import counted
from tune.report.analysis import running_best
from tune.report.charts.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    empty_figure,
    label,
    scaled,
    whole_axis,
)
from tune.spec.metric import Objective

TOP = (BLUE, ORANGE, GREEN, RED, PURPLE)
"""Of the best trials, best first, in the learning curves."""
MOST_CURVES = 300
"""Trials in the chart of learning curves; of more, a browser is slow, and a reader sees none."""


def progress(best_so_far: pd.DataFrame, objective: Objective) -> go.Figure:
    """The best value so far against the epochs of training spent.

    Args:
        best_so_far: As `analysis.best_by_epochs_spent` gives it.
        objective: What trials are judged by.
    """
    last = best_so_far["spent"] == best_so_far["spent"].max()
    table = best_so_far[(best_so_far["best"].diff() != 0) | last]  # the steps, and where it ends
    figure = empty_figure("Best trial so far", "epochs of training spent, over all trials", label(objective))
    figure.add_scatter(
        x=table["spent"],
        y=table["best"],
        mode="lines+markers",
        line={"shape": "hv", "color": BLUE, "width": 2},
        marker={"size": 4},
        customdata=table["trial"],
        hovertemplate="trial %{customdata}: %{y:.4g} (epochs spent: %{x})<extra></extra>",
    )
    figure.update_xaxes(whole_axis(0, best_so_far["spent"].max()))
    return scaled(figure, objective)


def learning_curves(trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective) -> go.Figure:
    """Every trial's values by epoch; the best are in color, those stopped early end in a cross.

    Of more than `MOST_CURVES` trials, as many evenly through the ranking.
    """
    ranking = trials.dropna(subset=[objective.metric.name])["trial"].tolist()
    chosen = ranking[: len(TOP)] + ranking[len(TOP) :: -(-len(ranking) // MOST_CURVES) or 1]
    table = running_best(epochs[epochs["trial"].isin(chosen)], objective)
    which = f"{len(chosen):,} of {len(ranking):,}" if len(chosen) < len(ranking) else "all"
    figure = empty_figure(f"Learning curves of {which} trials", "epoch", label(objective), height=480)
    best = chosen[: len(TOP)]
    x, y, numbers = _joined(table[~table["trial"].isin(best)])
    hover = "trial %{customdata}, epoch %{x}: %{y:.4g}<extra></extra>"
    if len(x):
        figure.add_scatter(
            x=x, y=y, customdata=numbers, mode="lines+markers", name="other trials", hovertemplate=hover,
            line={"color": GREY, "width": 1}, marker={"size": 3}, opacity=0.5,
        )  # fmt: skip
    ends = table.groupby("trial").tail(1).merge(trials[["trial", "status"]], on="trial")
    stopped = ends[ends["status"] == "stopped"]
    if len(stopped):
        figure.add_scatter(
            x=stopped["epoch"], y=stopped["value"], customdata=stopped["trial"], mode="markers", name="stopped early",
            hovertemplate=hover, marker={"symbol": "x-thin-open", "color": INK, "size": 7},
        )  # fmt: skip
    for number, color in reversed(list(zip(best, TOP, strict=False))):
        own = table[table["trial"] == number]
        figure.add_scatter(
            x=own["epoch"], y=own["value"], mode="lines+markers", name=f"trial {number}",
            customdata=own["trial"], hovertemplate=hover, line={"color": color, "width": 2}, marker={"size": 5},
        )  # fmt: skip
    figure.update_layout(legend={"traceorder": "reversed"})
    figure.update_xaxes(whole_axis(1, table["epoch"].max()))
    return scaled(figure, objective)


def _joined(table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Many curves as one trace, with a gap between them: a trace each would make the page slow."""
    gaps = table[["trial"]].drop_duplicates().assign(epoch=np.inf, value=np.nan)
    whole = pd.concat([table[["trial", "epoch", "value"]], gaps]).sort_values(["trial", "epoch"], kind="stable")
    x, y, numbers = (whole[column].to_numpy("float64") for column in ("epoch", "value", "trial"))
    return np.where(np.isinf(x), np.nan, x), y, numbers


def budget(correlation: pd.DataFrame, grace_period: int | None) -> go.Figure:
    """Rank correlation between an epoch and the end.

    Args:
        correlation: As `analysis.budget_correlation` gives it, with a row or more.
        grace_period: Epoch from which the scheduler stops trials; None without one.
    """
    title = f"Does an early epoch predict the end? ({counted(int(correlation['trials'].iloc[0]), 'trial')})"
    figure = empty_figure(title, "epoch", "rank correlation with the end")
    figure.add_scatter(
        x=correlation["epoch"], y=correlation["correlation"], mode="lines+markers", line={"color": BLUE},
        showlegend=False, hovertemplate="epoch %{x}: %{y:.2f}<extra></extra>",
    )  # fmt: skip
    if grace_period is not None:
        line = {"dash": "dot", "color": INK}
        figure.add_vline(x=grace_period, line=line, annotation_text="grace period", annotation_position="bottom right")
    figure.update_xaxes(whole_axis(1, correlation["epoch"].max()))
    lowest = float(np.nanmin([0.0, *correlation["correlation"]]))
    figure.update_yaxes(range=[lowest - 0.05, 1.05])
    return figure


def one_trial(objective: Objective) -> go.Figure:
    """An empty chart that the page fills with the trial that is clicked."""
    figure = empty_figure("Trial", "epoch", label(objective), height=300)
    figure.add_scatter(x=[], y=[], mode="lines+markers", line={"color": BLUE})
    return scaled(figure, objective)
