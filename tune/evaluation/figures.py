"""Charts of an evaluation, drawn from its numbers, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.ticker import PercentFormatter

from data.words import clipped, counted
from tune.drawing import BLUE, GREEN, INK, LINES, ORANGE, PURPLE, SKY, new_figure, png, quiet
from tune.evaluation.scores import accuracy_interval, confused_pairs

MOST_NUMBERED = 20  # classes up to which the cells of a confusion matrix show their counts
MOST_DRAWN = 100  # classes up to which all of them are drawn
MOST_CONFUSED = 30  # classes drawn of more


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> bytes:
    """A confusion matrix as a picture: rows are truth, the colour is the share of the row, numbers are images.

    Of more than `MOST_DRAWN` classes, the ones most often confused with each other.

    Args:
        counts: (classes, classes), rows are truth.
        classes: Names in the order of the rows.
        title: Above the picture.
    """
    matrix = np.asarray(counts)
    totals = matrix.sum(1, keepdims=True)
    if len(classes) > MOST_DRAWN:
        drawn = most_confused(matrix, MOST_CONFUSED)
        title = f"{title}\nthe {len(drawn)} most confused of {counted(len(classes), 'class')}"
        matrix, totals, classes = matrix[np.ix_(drawn, drawn)], totals[drawn], [classes[label] for label in drawn]
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    few = len(classes) <= MOST_NUMBERED
    side = 2.2 + (0.55 * max(len(classes), 6) if few else max(0.135 * len(classes), 8))
    figure = new_figure(side + 0.6, side)
    axes = figure.add_subplot()
    # The square root makes single confusions visible beside a full diagonal.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    figure.colorbar(
        image, ax=axes, shrink=0.8, aspect=40, pad=0.01, format=PercentFormatter(1), label="share of the true class"
    )
    _name_ticks(axes, classes, fontsize=9 if len(classes) <= MOST_CONFUSED else 6)
    _draw_lines(axes, len(classes))
    axes.set(xlabel="predicted", ylabel="truth")
    axes.set_title(title, fontsize=11, parse_math=False)
    if len(classes) <= MOST_CONFUSED:
        _write_numbers(axes, matrix, shares)
    return png(figure)


def most_confused(counts: np.ndarray, most: int) -> list[int]:
    """The labels in the most frequent confusions, in order; where these are too few, the largest classes too."""
    pairs = np.asarray(confused_pairs(counts)[:most], int).flatten()
    largest = np.argsort(-counts.sum(1), kind="stable")
    return sorted(list(dict.fromkeys([*pairs.tolist(), *largest.tolist()]))[:most])


def _name_ticks(axes: Axes, classes: Sequence[str], fontsize: int) -> None:
    places = range(len(classes))
    short = [clipped(name, 20) for name in classes]
    upright = max(map(len, short)) <= 3
    axes.set_xticks(places, labels=short, rotation=0 if upright else 90, fontsize=fontsize, parse_math=False)
    axes.set_yticks(places, labels=short, fontsize=fontsize, parse_math=False)


def _draw_lines(axes: Axes, classes: int) -> None:
    """Thin lines between the cells, which lead the eye from a name to a cell."""
    between = np.arange(classes + 1) - 0.5
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.grid(which="minor", color=LINES, linewidth=0.4)
    axes.tick_params(which="minor", length=0)


def _write_numbers(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=8)


def calibration(found: Mapping[str, Any], title: str) -> bytes:
    """Accuracy against confidence, as trained and at the fitted temperature, above the numbers of images.

    Args:
        found: `calibration` of `evaluation.json`.
        title: Above the picture.
    """
    panels = [("as trained", found["before"])]
    if found["after"] is not None:
        panels.append((f"at temperature {found['temperature']:.3g}", found["after"]))
    figure = new_figure(1.2 + 4.2 * len(panels), 5.8)
    figure.suptitle(title, fontsize=11, parse_math=False)
    grid = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1))
    for (upper, lower), (name, values) in zip(grid.T, panels, strict=True):
        filled = [row for row in values["bins"] if row["n"]]
        confidence, accuracy, n = ([row[key] for row in filled] for key in ("confidence", "accuracy", "n"))
        bounds = np.array([accuracy_interval(round(row["accuracy"] * row["n"]), row["n"]) for row in filled]).T
        lengths = np.abs(bounds - accuracy)
        upper.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, label="confidence = accuracy")
        label = "images with this confidence, with 95 % interval"
        upper.errorbar(confidence, accuracy, lengths, fmt="o", color=BLUE, markersize=5, elinewidth=1, label=label)
        upper.set_title(f"{name}: error {100 * values['expected_calibration_error']:.2f} %", fontsize=10)
        width = filled[0]["high"] - filled[0]["low"]
        lower.bar([row["low"] + width / 2 for row in filled], n, width * 0.9, color=SKY)
        lower.set(xlabel="confidence in the prediction", yscale="log", ylim=(0.5, None))
        for axes in (upper, lower):
            quiet(axes)
        upper.set(xlim=(-0.01, 1.02), ylim=(-0.02, 1.02))
        for axis in (upper.xaxis, upper.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
    grid[0, 0].set_ylabel("accuracy")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(panels), frameon=False)
    grid[1, 0].set_ylabel("images")
    grid[1, 0].yaxis.set_major_formatter("{x:,.0f}")
    return png(figure)


def corruptions(rows: Sequence[Mapping[str, Any]], clean: float, title: str) -> bytes:
    """Accuracy against the strength of each corruption, with 95 % intervals; strength 0 are the images as they are.

    Args:
        rows: `corruptions` of `corruptions.json`.
        clean: The accuracy on images as they are.
        title: Above the picture.
    """
    figure = new_figure(6.4, 4.4)
    axes = figure.add_subplot()
    kinds = dict.fromkeys(row["corruption"] for row in rows)
    styles = zip((BLUE, ORANGE, GREEN, PURPLE), "osD^", strict=True)
    for kind, (colour, marker) in zip(kinds, styles, strict=True):
        own = [row for row in rows if row["corruption"] == kind]
        low, high = zip(*(row["accuracy_interval"] for row in own), strict=True)
        strengths = [row["strength"] for row in own]
        axes.fill_between(strengths, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot([0, *strengths], [clean, *(row["accuracy"] for row in own)], marker=marker, color=colour, label=kind)
    axes.set(xlabel="strength of the corruption", ylabel="accuracy", ylim=(0, 1.02), xticks=range(6))
    axes.set_title(title, fontsize=11, parse_math=False)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    quiet(axes)
    figure.legend(loc="outside lower center", frameon=False, ncols=len(kinds))
    return png(figure)
