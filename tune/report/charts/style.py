"""What all charts share: colors, symbols, layout, and how the axis of a metric is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from tune.spec.metric import Objective

# Okabe and Ito's colors, which people with any kind of color blindness can tell apart; statuses have symbols too.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#202124",
)
GREY = "#9aa0a6"
INK = "#5f6368"  # of lines that explain
WIDE = 3
"""How many times the smallest value the largest has to be for a logarithmic axis to show both better."""
MOST_TICKS = 12
"""Of whole numbers on an axis, each with a tick."""
STATUS_COLORS = {
    "completed": BLUE,
    "stopped": ORANGE,
    "running": GREEN,
    "waiting": SKY,
    "paused": SKY,
    "diverged": PURPLE,
    "out_of_memory": BLACK,
    "infeasible": GREY,
    "failed": RED,
}
STATUS_SYMBOLS = {
    "completed": "circle",
    "stopped": "x-thin-open",
    "running": "triangle-up",
    "waiting": "circle-open",
    "paused": "triangle-right-open",
    "diverged": "square",
    "out_of_memory": "square-open",
    "infeasible": "cross-thin-open",
    "failed": "diamond",
}
WORDS = {
    "completed": "completed",
    "stopped": "stopped early",
    "running": "running",
    "waiting": "waiting",
    "paused": "paused",
    "diverged": "diverged",
    "out_of_memory": "out of memory",
    "infeasible": "infeasible",
    "failed": "failed",
}
"""Statuses in a legend or a sentence."""


LEGEND, AXIS = 32, 52
"""Pixels below a chart for its legend, and for the axis with its title."""
_AXIS = {"automargin": True, "gridcolor": "#e8eaed", "zerolinecolor": "#dadce0", "zerolinewidth": 1}


def empty_figure(title: str, x: str, y: str, *, height: int = 420) -> go.Figure:
    """A chart without data, in the style that all share; `x` and `y` are the titles of the axes."""
    layout: dict[str, Any] = {
        "title": {
            "text": title,
            "x": 0,
            "xanchor": "left",
            "font": {"size": 15},
            "automargin": True,
            "pad": {"t": 6},  # otherwise the top of the letters is cut off
            "yref": "container",
        },
        "template": "none",  # plotly's own style would be repeated in every chart
        "font": {"color": "#202124"},
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 56, "b": AXIS + LEGEND},
        "xaxis": {"title": {"text": x}, **_AXIS},
        "yaxis": {"title": {"text": y, "standoff": 12}, **_AXIS},
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "xanchor": "left", "x": 0},
        "hovermode": "closest",
    }
    return go.Figure(layout=layout)


def without_legend(figure: go.Figure) -> go.Figure:
    """Take away the room for a legend if the chart has none."""
    named = sum(getattr(trace, "showlegend", False) is not False for trace in figure.data)
    if figure.layout.showlegend is not True and named < 2 and figure.layout.margin.b == LEGEND + AXIS:
        figure.update_layout(height=figure.layout.height - LEGEND, margin_b=AXIS)
    return figure


def label(objective: Objective) -> str:
    """The title of a metric's axis: `val_loss (nats), lower is better`."""
    unit = f" ({objective.metric.unit})" if objective.metric.unit == "nats" else ""
    return f"{objective.metric.name}{unit}, {better(objective)}"


def better(objective: Objective) -> str:
    """Which values are good, in words."""
    return f"{'lower' if objective.metric.goal == 'min' else 'higher'} is better"


def scaled(figure: go.Figure, objective: Objective, axis: str = "yaxis") -> go.Figure:
    """Format the axis of a metric: percent where people read it so, logarithmic where values span magnitudes."""
    drawn = [float(value) for trace in figure.data for value in trace.y if value is not None]
    drawn = [value for value in drawn if math.isfinite(value)]
    figure.update_layout({axis: around_one(drawn)})
    if objective.metric.unit == "%":
        span = max(drawn) - min(drawn) if drawn else 0
        digits = 1 if span <= 0 else min(max(1, math.ceil(-math.log10(20 * span))), 4)  # so that ticks differ
        figure.update_layout({f"{axis}_tickformat": f".{digits}%"})
        return figure
    if drawn and min(drawn) > 0 and max(drawn) > WIDE * min(drawn):
        figure.update_layout({axis: log_axis(min(drawn), max(drawn))})
    return figure


def around_one(values: Sequence[float]) -> dict[str, Any]:
    """The range of an axis on which all values are the same: plotly would show one more and one less."""
    if not values or min(values) != max(values):
        return {}
    around = 0.11 * abs(values[0]) or 1
    return {"range": [values[0] - around, values[0] + around]}


def whole_axis(low: float, high: float) -> dict[str, Any]:
    """An axis of whole numbers, such as epochs: without ticks between them where there are few."""
    return {"dtick": 1} if high - low <= MOST_TICKS else {}


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis for values between two positive numbers, with plain numbers at 1, 2 and 5 times tens."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    steps = (1,) if high > 2000 * low else (1, 2, 5) if high > 20 * low else (1, 1.5, 2, 3, 4, 5, 7)
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,g}" for tick in ticks]}
