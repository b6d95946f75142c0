"""Pictures of an evaluation, as PNG bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from data import Resident
from tune.evaluation.scores import Predictions

RIGHT, WRONG = "#1a7f37", "#cf222e"
MOST_NUMBERED = 20  # classes up to which the cells of a confusion matrix show their counts
MOST_DRAWN = 100  # classes up to which all of them are drawn
MOST_CONFUSED = 30  # classes drawn of more
GRID_SEED = 0
_DPI = 100


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
        title = f"{title}\nthe {len(drawn)} most confused of {len(classes):,} classes"
        matrix, totals, classes = matrix[np.ix_(drawn, drawn)], totals[drawn], [classes[label] for label in drawn]
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    few = len(classes) <= MOST_NUMBERED
    side = 2.2 + (0.55 * max(len(classes), 6) if few else max(0.135 * len(classes), 8))
    figure = Figure(figsize=(side + 0.6, side), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    # The square root makes single confusions visible beside a full diagonal.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    figure.colorbar(image, ax=axes, shrink=0.8, aspect=40, pad=0.01, format=PercentFormatter(1), label="of the class")
    _name_ticks(axes, classes, fontsize=9 if len(classes) <= MOST_CONFUSED else 6)
    _draw_lines(axes, len(classes))
    axes.set(xlabel="predicted", ylabel="truth")
    axes.set_title(title, fontsize=11, parse_math=False)
    if len(classes) <= MOST_CONFUSED:
        _write_numbers(axes, matrix, shares)
    return png(figure)


def most_confused(counts: np.ndarray, most: int) -> list[int]:
    """The labels in the most frequent confusions, in order; where these are too few, the largest classes too."""
    rows, columns = np.nonzero(counts)
    errors = rows != columns
    rows, columns = rows[errors], columns[errors]
    order = np.argsort(-counts[rows, columns], kind="stable")[:most]
    pairs = np.stack([rows[order], columns[order]], 1).flatten()
    largest = np.argsort(-counts.sum(1), kind="stable")
    return sorted(list(dict.fromkeys([*pairs.tolist(), *largest.tolist()]))[:most])


def _name_ticks(axes: Axes, classes: Sequence[str], fontsize: int) -> None:
    places = range(len(classes))
    short = [name if len(name) <= 20 else f"{name[:19]}…" for name in classes]
    upright = max(map(len, short)) <= 3
    axes.set_xticks(places, labels=short, rotation=0 if upright else 90, fontsize=fontsize, parse_math=False)
    axes.set_yticks(places, labels=short, fontsize=fontsize, parse_math=False)


def _draw_lines(axes: Axes, classes: int) -> None:
    """Thin lines between the cells, which lead the eye from a name to a cell."""
    between = np.arange(classes + 1) - 0.5
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.grid(which="minor", color="#d8dee4", linewidth=0.4)
    axes.tick_params(which="minor", length=0)


def _write_numbers(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=8)


def prediction_grid(predictions: Predictions, images: Resident, grid: tuple[int, int]) -> bytes:
    """Images with their predicted classes: green where right, red where wrong, with the true class below.

    The images are a random choice, the same each time.

    Args:
        predictions: Of all images of the split.
        images: The same images.
        grid: Rows and columns; at most as many cells as images.
    """
    rows, columns = grid
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(GRID_SEED))[: rows * columns]
    pixels = images.images[predictions.index[drawn]]
    figure = Figure(figsize=(1.5 * columns, 1.75 * rows), dpi=_DPI, layout="constrained")
    for axes, picture, where in zip(figure.subplots(rows, columns, squeeze=False).flat, pixels, drawn, strict=True):
        shown = picture.permute(1, 2, 0).numpy()
        axes.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_axis_off()
        predicted, label = int(predictions.predicted[where]), int(predictions.labels[where])
        truth = " " if predicted == label else f"(is {_clipped(predictions.classes[label])})"
        text = f"{_clipped(predictions.classes[predicted])}\n{truth}"  # always two lines, to keep the rows level
        axes.set_title(text, fontsize=8, color=RIGHT if predicted == label else WRONG, parse_math=False)
    return png(figure)


def _clipped(name: str, most: int = 16) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Characters that matplotlib's font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, format="png")
    return stream.getvalue()
