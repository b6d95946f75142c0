"""What all figures share: colours that colour-blind readers tell apart, a quiet style, and PNG files."""

from __future__ import annotations

import io
import warnings

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito 2008, https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
INK, LINES = "#24292f", "#d8dee4"
DPI = 100


def new_figure(width: float, height: float) -> Figure:
    """An empty figure with this size in inches, whose axes keep clear of each other."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def quiet(axes: Axes) -> None:
    """Take away the box around a chart, and draw a light grid behind it."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=LINES, linewidth=0.6)
    axes.set_axisbelow(True)


def clipped(text: str, most: int) -> str:
    """A text with at most this many characters; the end of a longer one is left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def counted(n: int, thing: str) -> str:
    """A number of things, such as `1 image` or `2,000 images`."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Characters that matplotlib's font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, format="png")
    return stream.getvalue()
