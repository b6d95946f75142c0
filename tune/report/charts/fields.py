"""Charts of the searched fields: each against the result, all side by side, and how much each mattered."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from search_spaces import Choice, Domain, Float, Int, Space
from tune.report.charts.style import (
    BLUE,
    STATUS_COLORS,
    STATUS_SYMBOLS,
    WIDE,
    WORDS,
    empty_figure,
    label,
    log_axis,
    scaled,
    whole_axis,
)
from tune.spec.dotted import short_names
from tune.spec.files import value_text
from tune.spec.metric import Objective

MOST_LETTERS = 24  # of a choice's value on an axis


def parameter(field: str, domain: Domain, trials: pd.DataFrame, objective: Objective, title: str) -> go.Figure:
    """One field's values against the objective, by status; points of a choice are spread out beside each other."""
    column, name = f"config.{field}", objective.metric.name
    figure = empty_figure(title, field, label(objective), height=340)
    known = trials.dropna(subset=[column, name])
    names = _choices(known[column])
    for status, group in known.groupby("status", sort=False):
        x = _spread(group, column, names) if isinstance(domain, Choice) else group[column]
        figure.add_scatter(
            x=x, y=group[name], mode="markers", name=WORDS[str(status)],
            customdata=np.stack([group["trial"], group[column].map(_text)], axis=1),
            marker={"color": STATUS_COLORS[str(status)], "symbol": STATUS_SYMBOLS[str(status)], "size": 8},
            hovertemplate="trial %{customdata[0]}: %{customdata[1]} gives %{y:.4g}<extra></extra>",
        )  # fmt: skip
    if isinstance(domain, Choice):
        ticks = {"tickvals": list(range(len(names))), "ticktext": names, "range": [-0.5, len(names) - 0.5]}
        figure.update_xaxes(zeroline=False, **ticks)
    elif domain.log:
        figure.update_xaxes(log_axis(domain.low, domain.high), range=_searched(domain))
    else:
        ticks = whole_axis(domain.low, domain.high) if isinstance(domain, Int) else {}
        figure.update_xaxes(ticks, range=_searched(domain))
    return scaled(figure, objective)


def _searched(domain: Int | Float) -> tuple[float, float]:
    """The ends of an axis that shows the whole range of a field, with room for points at its ends."""
    low, high = np.log10((domain.low, domain.high)) if domain.log else (domain.low, domain.high)
    room = 0.04 * (high - low) or 0.11 * abs(low) or 1
    return float(low - room), float(high + room)


def _text(value: Any) -> str:
    """A value as it is written in YAML, for a chart, where tags would be markup."""
    value = value.item() if isinstance(value, np.generic) else value  # from a column of booleans
    text = f"{value:.4g}" if isinstance(value, float) else value_text(value)
    return html.escape(text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…")


def _choices(values: pd.Series[Any]) -> list[str]:
    """The values of a choice, numbers by size."""
    different = list({_text(value): value for value in values}.items())
    numbers = all(pd.api.types.is_number(value) for _, value in different)
    return [text for text, _ in sorted(different, key=lambda pair: pair[1] if numbers else pair[0])]


def _spread(group: pd.DataFrame, column: str, names: list[str]) -> NDArray[np.float64]:
    """Places on the axis of a choice: beside each other by the number of the trial, the same each time."""
    places = group[column].map(lambda value: names.index(_text(value))).to_numpy("float64")
    shifted: NDArray[np.float64] = places + 0.4 * (group["trial"].to_numpy() * 0.618034 % 1 - 0.5)
    return shifted


def parallel(space: Space, trials: pd.DataFrame, objective: Objective) -> go.Figure:
    """All fields of every trial side by side; drag along an axis to keep only the trials that pass there."""
    name = objective.metric.name
    shown = [field for field, domain in space.domains.items() if not domain.when]
    known = trials.dropna(subset=[name, *(f"config.{field}" for field in shown)])
    short = short_names(shown)
    dimensions = [_dimension(label, space.domains[field], known[f"config.{field}"]) for field, label in short.items()]
    result = known[name].to_numpy("float64")
    wide = len(result) > 0 and result.min() > 0 and result.max() > WIDE * result.min()
    last = _log_dimension(name, np.log10(result), result.min(), result.max()) if wide else None
    figure = empty_figure("All fields side by side (drag along an axis to filter)", "", "", height=460)
    figure.add_parcoords(
        line={
            "color": np.log10(result) if wide else result,
            "colorscale": "Cividis",
            "reversescale": objective.metric.goal == "max",
        },
        dimensions=[*dimensions, last or {"label": name, "values": result}],
    )
    figure.update_layout(margin={"l": 72, "r": 72, "t": 96, "b": 40})
    return figure


def _dimension(label: str, domain: Domain, values: pd.Series[Any]) -> dict[str, Any]:
    if isinstance(domain, Choice):
        names = _choices(values)
        places = values.map(lambda value: names.index(_text(value))).to_numpy("float64")
        return {"label": label, "values": places, "tickvals": list(range(len(names))), "ticktext": names}
    numbers = pd.to_numeric(values).to_numpy("float64")
    if domain.log:
        return _log_dimension(label, np.log10(numbers), domain.low, domain.high)
    few = sorted(set(numbers.tolist())) if isinstance(domain, Int) else []
    return {"label": label, "values": numbers, **({"tickvals": few} if 0 < len(few) <= 12 else {"tickformat": ".3~g"})}


def _log_dimension(label: str, logarithms: NDArray[np.float64], low: float, high: float) -> dict[str, Any]:
    ticks = np.linspace(np.log10(low), np.log10(high), 5)
    texts = [f"{10**tick:.2g}" for tick in ticks]
    ends = [ticks[0], ticks[-1]] if low < high else [ticks[0] - 0.1, ticks[0] + 0.1]
    return {"label": label, "values": logarithms, "tickvals": ticks, "ticktext": texts, "range": ends}


def importance_bars(shares: Mapping[str, float], epoch: int) -> go.Figure:
    """How much each field mattered."""
    names = short_names(list(shares))
    title = f"What mattered (all trials at epoch {epoch})"
    figure = empty_figure(title, "share of the importance", "", height=120 + 36 * len(shares))
    figure.add_bar(
        x=list(shares.values())[::-1], y=[names[field] for field in shares][::-1], orientation="h",
        marker={"color": BLUE}, hovertemplate="%{y}: %{x:.0%}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(ticklabelstandoff=6)
    return figure
