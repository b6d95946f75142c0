"""The charts of a comparison of runs, as plotly figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

import plotly.graph_objects as go

from data.words import clipped
from tune.report.charts.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, empty_figure, scaled, whole_axis
from tune.report.comparison.paired import Difference
from tune.report.comparison.runs import ComparedRun
from tune.spec.metric import METRICS, Metric, Objective

COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK)
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up")
MOST_LETTERS = 32
"""Of a name on an axis."""
MOST_CLASSES = 30
"""A chart of more than these is not legible: it shows the classes that differ most."""


def _looks() -> Iterator[tuple[str, str]]:
    """A color and a symbol for each run: the symbol changes when the colors begin again."""
    return ((color, symbol) for symbol in cycle(SYMBOLS) for color in COLORS)


def curves(runs: Sequence[ComparedRun], metric: Metric) -> go.Figure:
    """A metric of validation by epoch, dashed, and that of training, solid; the best epoch of each run is marked."""
    unit = f" ({metric.unit})" if metric.unit == "nats" else ""
    title = f"{metric.words[0].upper()}{metric.words[1:]} (training solid, validation dashed)"
    figure = empty_figure(title, "epoch", f"{metric.words}{unit}", height=440)
    for run, (color, symbol) in zip(runs, _looks(), strict=False):
        for part, dash in (("train", "solid"), ("val", "dash")):
            name = f"{part}_{metric.kind}"
            if name in run.epochs:
                figure.add_scatter(
                    x=run.epochs["epoch"], y=run.epochs[name], mode="lines", name=run.name, legendgroup=run.name,
                    showlegend=part == "train", line={"color": color, "dash": dash, "width": 2},
                    hovertemplate=f"%{{fullData.name}}, {name}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
                )  # fmt: skip
        if run.best and run.best.get(metric.name) is not None:
            figure.add_scatter(
                x=[run.best["epoch"]], y=[run.best[metric.name]], mode="markers", name=run.name, showlegend=False,
                legendgroup=run.name, marker={"color": color, "symbol": symbol, "size": 10},
                hovertemplate="%{fullData.name}, best epoch %{x}: %{y:.4g}<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(whole_axis(1, max(len(run.epochs) for run in runs)))
    return scaled(figure, Objective(METRICS[metric.name]))


def intervals(title: str, axis: str, rows: Sequence[tuple[str, Difference]], scale: float) -> go.Figure:
    """A difference with its interval in each row, and a line at no difference.

    Args:
        title: What is seen.
        axis: What is measured, with its unit.
        rows: From top to bottom: what the images have in common, and the difference on them.
        scale: 100 turns fractions into percentage points.
    """
    figure = empty_figure(title, axis, "", height=150 + 26 * len(rows))
    values = [scale * found.difference for _, found in rows]
    figure.add_scatter(
        x=values, y=list(range(len(rows))), mode="markers", showlegend=False,
        marker={"color": BLUE, "size": 9},
        error_x={
            "array": [scale * found.high - value for (_, found), value in zip(rows, values, strict=True)],
            "arrayminus": [value - scale * found.low for (_, found), value in zip(rows, values, strict=True)],
            "color": BLUE, "thickness": 1.5, "width": 4,
        },
        customdata=[(name, scale * found.low, scale * found.high, found.n) for name, found in rows],
        hovertemplate="%{customdata[0]}: %{x:.3g} (%{customdata[1]:.3g} to %{customdata[2]:.3g}), "
        "images: %{customdata[3]:,}<extra></extra>",
    )  # fmt: skip
    figure.add_vline(x=0, line={"color": "#5f6368", "width": 1})
    # By position: two classes may have one name.
    ticks = {"tickvals": list(range(len(rows))), "ticktext": [clipped(name, MOST_LETTERS) for name, _ in rows]}
    return figure.update_yaxes(range=[len(rows) - 0.5, -0.5], showgrid=False, zeroline=False, **ticks)
