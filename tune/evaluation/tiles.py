"""Pictures of images with words: predictions, mistakes and confused pairs, as PNG bytes. Pixels are never blurred."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from data import Resident
from data.words import clipped, counted
from tune.drawing import BLUE, DPI, INK, ORANGE, png
from tune.evaluation.result import Grid
from tune.evaluation.scores import Predictions, confused_pairs

MOST_PAIRS, MOST_PER_PAIR = 8, 8  # rows and columns of the picture of confused pairs
GRID_SEED = 0
_SIDE, _SMALL_SIDE = 128, 96  # pixels that small images are enlarged to, at least
_MOST_SIDE = 224  # pixels that large images are reduced to
_CELL = 150  # pixels of a cell's width, at least: what the words need
_GAP, _LINE, _LETTER, _FRAME = 14, 15, 7.0, 2  # pixels, with words of 8 points


@dataclass(frozen=True)
class Tile:
    """An image with two lines of words above it.

    Attributes:
        pixels: (H, W, 3) uint8, as large as it is shown.
        words: Above it.
        right: Decides the colour of the words, and whether there is a frame; None for neither.
    """

    pixels: NDArray[np.uint8]
    words: tuple[str, str]
    right: bool | None = None


def predictions(found: Predictions, images: Resident, grid: Grid, title: str) -> bytes:
    """A random choice of images with prediction, confidence and truth, the same images each time.

    Args:
        found: Of all images of the split.
        images: The same images.
        grid: Rows and columns; at most as many cells as images.
        title: The run and the split, in words.
    """
    cells = grid[0] * grid[1]
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(GRID_SEED))[:cells].tolist()
    title = f"{title}\n{len(drawn):,} of {counted(len(images), 'image')}, chosen at random"
    return _sheet([_tile(found, images, where) for where in drawn], grid[1], title)


def mistakes(found: Predictions, images: Resident, grid: Grid, title: str) -> bytes:
    """The mistakes made with the highest confidence, in its order; the picture is smaller where there are fewer.

    Args:
        found: Of all images of the split; at least one is a mistake.
        images: The same images.
        grid: Rows and columns.
        title: The run and the split, in words.
    """
    worst = worst_mistakes(found)
    drawn = worst[: grid[0] * grid[1]]
    which = f"the {len(drawn):,} most confident of " if len(drawn) < len(worst) else ""
    title = f"{title}\n{which}{counted(len(worst), 'mistake')} in {counted(len(found.labels), 'image')}"
    return _sheet([_tile(found, images, where) for where in drawn], min(grid[1], len(drawn)), title)


def worst_mistakes(found: Predictions) -> list[int]:
    """The rows of wrong predictions, the most confident first."""
    wrong = torch.nonzero(~found.right)[:, 0]
    order = torch.argsort(found.probability[wrong], descending=True, stable=True)
    return wrong[order].tolist()


def confused(found: Predictions, images: Resident, counts: NDArray[np.int64], title: str) -> bytes:
    """The class pairs that are most often confused, a row each, with the most confident mistakes.

    Args:
        found: Of all images of the split; at least one is a mistake.
        images: The same images.
        counts: (classes, classes), rows are truth.
        title: The run and the split, in words.
    """
    pairs = confused_pairs(counts)[:MOST_PAIRS]
    worst = torch.tensor(worst_mistakes(found))
    labels, predicted = found.labels[worst], found.predicted[worst]
    rows = []
    for truth, other in pairs:
        of_pair = worst[(labels == truth) & (predicted == other)].tolist()
        n, total = len(of_pair), int(counts[truth].sum())
        heading = (
            f"truth: {clipped(found.classes[truth], 21)}",
            f"predicted: {clipped(found.classes[other], 17)}",
            f"{n:,} of {counted(total, 'image')} ({100 * n / total:.1f} %)",
        )
        drawn = of_pair[:MOST_PER_PAIR]
        rows.append(
            (
                heading,
                [Tile(_pixels(images, found, where, _SMALL_SIDE), ("", _percent(found, where))) for where in drawn],
            )
        )
    many = "the most confused pair" if len(pairs) == 1 else f"the {len(pairs)} most confused pairs"
    return _rows(rows, f"{title}\n{many} of classes, with the confidence")


def _tile(found: Predictions, images: Resident, where: int) -> Tile:
    label, predicted = int(found.labels[where]), int(found.predicted[where])
    right = label == predicted
    share = f"({_percent(found, where)})"
    letters = int(_cell(images) / _LETTER)
    name = clipped(found.classes[predicted], letters - len(share) - 3)
    words = (f"{'✓' if right else '✗'} {name} {share}", clipped(f"truth: {found.classes[label]}", letters))
    return Tile(_pixels(images, found, where), words, right)


def _percent(found: Predictions, where: int) -> str:
    """The confidence, rounded down: 100 % only where it is."""
    share = 100 * float(found.probability[where])
    return f"{int(share)} %" if share >= 1 else f"{share:.2g} %"


def _pixels(images: Resident, found: Predictions, where: int, least: int = _SIDE) -> NDArray[np.uint8]:
    """An image as it is shown: enlarged by a whole number, or reduced."""
    picture = images.images[int(found.index[where])]
    _, height, width = picture.shape
    if max(height, width) > _MOST_SIDE:
        from torchvision.transforms.v2.functional import resize

        share = _MOST_SIDE / max(height, width)
        picture = resize(picture, [max(1, round(height * share)), max(1, round(width * share))], antialias=True)
    scale = max(1, -(-least // max(height, width)))
    large: NDArray[np.uint8] = picture.permute(1, 2, 0).numpy().repeat(scale, 0).repeat(scale, 1)
    return large.repeat(3, 2) if large.shape[2] == 1 else large


def _cell(images: Resident) -> int:
    """The width of a cell in pixels."""
    side = max(images.images.shape[2:])
    return max(_CELL, min(side * max(1, -(-_SIDE // side)), _MOST_SIDE))


class _Page:
    """A figure that is laid out in pixels, from the top left."""

    def __init__(self, width: int, height: int, title: str) -> None:
        width = max(width, 560)
        lines = [line for part in title.split("\n") for line in textwrap.wrap(part, int(width / 8.2)) or [""]]
        self.top = _GAP + 20 * len(lines) + _GAP // 2
        self.height = self.top + height
        self.figure = Figure(figsize=(width / DPI, self.height / DPI), dpi=DPI)
        for number, line in enumerate(lines):
            self.write(_GAP, _GAP + 20 * number, line, 10.5)

    def write(self, x: float, y: float, text: str, size: float = 8, colour: str = INK) -> None:
        """A line of words whose top left corner is at (x, y)."""
        self.figure.text(
            x,
            self.height - y,
            text,
            fontsize=size,
            color=colour,
            va="top",
            parse_math=False,
            transform=IdentityTransform(),
        )

    def place(self, x: int, y: int, tile: Tile) -> None:
        """A tile whose top left corner is at (x, y)."""
        colour = INK if tile.right is None else (BLUE if tile.right else ORANGE)
        for number, words in enumerate(tile.words):
            self.write(x, y + _LINE * number, words, colour=colour)
        height, width, _ = tile.pixels.shape
        bottom = self.height - (y + 2 * _LINE + 4) - height
        self.figure.figimage(tile.pixels, x, bottom)
        if tile.right is False:
            corner = (x - _FRAME / 2, bottom - _FRAME / 2)
            frame = Rectangle(corner, width + _FRAME, height + _FRAME, fill=False, edgecolor=ORANGE, linewidth=2)
            frame.set_transform(IdentityTransform())
            self.figure.add_artist(frame)


def _sheet(tiles: Sequence[Tile], columns: int, title: str) -> bytes:
    side = max(tile.pixels.shape[0] for tile in tiles)
    width = max(_CELL, *(tile.pixels.shape[1] for tile in tiles))
    step_x, step_y = width + _GAP, 2 * _LINE + 4 + side + _GAP
    rows = -(-len(tiles) // columns)
    page = _Page(columns * step_x + _GAP, rows * step_y, title)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        page.place(_GAP + column * step_x, page.top + row * step_y, tile)
    return png(page.figure)


def _rows(rows: Sequence[tuple[Sequence[str], Sequence[Tile]]], title: str) -> bytes:
    heading = 230
    height, width = (max(tile.pixels.shape[axis] for _, tiles in rows for tile in tiles) for axis in (0, 1))
    step_x, step_y = width + _GAP, _LINE + 4 + height + _GAP
    page = _Page(heading + max(len(tiles) for _, tiles in rows) * step_x + _GAP, len(rows) * step_y, title)
    for number, (words, tiles) in enumerate(rows):
        y = page.top + number * step_y
        for line, text in enumerate(words):
            page.write(_GAP, y + _LINE + 4 + 19 * line, text, 9)
        for column, tile in enumerate(tiles):
            page.place(heading + column * step_x, y - _LINE, tile)
    return png(page.figure)
