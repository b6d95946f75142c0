"""Charts of an evaluation on test images: scores per class, confusion, calibration."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from data.words import clipped
from tune.report.charts.style import BLUE, INK, ORANGE, empty_figure

MOST_CLASSES = 30
"""Classes in the confusion matrix; of more, those that are most often confused."""
MOST_LETTERS = 18
"""Of a class's name on an axis."""


def confusion(scores: Mapping[str, Any]) -> go.Figure:
    """The confusion matrix: rows are truth, the color is the share of the row."""
    counts, names = np.asarray(scores["confusion"]), [row["name"] for row in scores["per_class"]]
    labels = _most_confused(counts)
    few = len(labels) < len(names)
    title = f"The {len(labels)} most confused of {len(names):,} classes" if few else "Confusion matrix"
    side = 30 * max(len(labels), 8) + 150
    figure = empty_figure(title, "predicted", "truth", height=min(side, 900))
    shown, totals = counts[np.ix_(labels, labels)], counts[labels].sum(axis=1, keepdims=True)
    shares = np.divide(shown, totals, out=np.zeros(shown.shape), where=totals > 0)
    short = _short([names[label] for label in labels])
    figure.add_heatmap(
        # The square root makes single confusions visible beside a full diagonal.
        z=np.sqrt(shares), x=short, y=short, colorscale="Blues", showscale=False, xgap=1, ygap=1, zmin=0, zmax=1,
        customdata=np.stack([shown, 100 * shares], axis=-1), text=shown,
        texttemplate="%{text}" if len(labels) <= 12 else None,
        hovertemplate="%{y} predicted as %{x}: %{customdata[0]} of its images (%{customdata[1]:.1f} %)<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    return figure.update_xaxes(type="category", showgrid=False)


def _most_confused(counts: np.ndarray) -> list[int]:
    """The labels in the most frequent confusions, in order; all where there are few."""
    if len(counts) <= MOST_CLASSES:
        return list(range(len(counts)))
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[: MOST_CLASSES**2]
    pairs = np.stack(np.unravel_index(order, counts.shape), axis=1).flatten()
    return sorted(list(dict.fromkeys(pairs.tolist()))[:MOST_CLASSES])


def _short(names: Sequence[str]) -> list[str]:
    """Names for an axis: clipped, different from each other, and without markup."""
    short = [clipped(name, MOST_LETTERS) for name in names]
    return [html.escape(text if short.count(text) == 1 else f"{text} ({place})") for place, text in enumerate(short)]


def calibration(found: Mapping[str, Any]) -> go.Figure:
    """Accuracy against confidence, before and after the temperature; the diagonal is perfect.

    Args:
        found: `calibration` of `evaluation.json`.
    """
    figure = empty_figure("Calibration: is the confidence right?", "confidence in the prediction", "accuracy")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="perfect", line={"color": INK, "dash": "dot"}, hoverinfo="skip"
    )
    after = f"at temperature {found['temperature']:.2f}" if found["after"] else ""
    for part, name, color, symbol in (("before", "as trained", BLUE, "circle"), ("after", after, ORANGE, "diamond")):
        if not found[part]:
            continue
        rows, error = [row for row in found[part]["bins"] if row["n"]], found[part]["expected_calibration_error"]
        figure.add_scatter(
            x=[row["confidence"] for row in rows], y=[row["accuracy"] for row in rows], mode="lines+markers",
            name=f"{name} (error {100 * error:.2f} %)", customdata=[row["n"] for row in rows],
            line={"color": color}, marker={"symbol": symbol, "size": 7},
            hovertemplate="confidence %{x:.1%}, accuracy %{y:.1%}, images: %{customdata:,}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%")
    return figure.update_yaxes(range=[0, 1.02], tickformat=".0%")


def per_class(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Precision and recall of each class, the lowest recall first."""
    title = "Precision and recall of each class"
    figure = empty_figure(title, "share of images", "", height=170 + 24 * len(rows))
    names = _short([row["name"] for row in rows])
    for measure, color, symbol in (("recall", BLUE, "circle"), ("precision", ORANGE, "diamond-open")):
        figure.add_scatter(
            x=[row[measure] for row in rows], y=names, mode="markers", name=measure,
            marker={"color": color, "symbol": symbol, "size": 9}, customdata=[row["n"] for row in rows],
            hovertemplate=f"%{{y}}: {measure} %{{x:.2%}} (images: %{{customdata:,}})<extra></extra>",
        )  # fmt: skip
    # Where all are equal, the axis would go on to 200 %.
    figure.update_xaxes(tickformat=".0%", autorangeoptions={"clipmin": -0.02, "clipmax": 1.02})
    figure.update_yaxes(type="category", autorange="reversed")
    return figure
