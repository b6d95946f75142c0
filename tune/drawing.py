"""What all figures share: colours that colour-blind readers tell apart, a quiet style, and PNG files."""

from __future__ import annotations

import io
import warnings

from matplotlib import font_manager, rcParams
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


def cover(text: str) -> str:
    """Let figures from now on take characters that matplotlib's own font lacks from installed fonts.

    Returns:
        The characters that no installed font has, each once; figures show boxes for them.
    """
    own = font_manager.findfont(font_manager.FontProperties())
    missing = {letter for letter in text if letter.isprintable()} - _glyphs(own)
    fonts = [entry for entry in font_manager.fontManager.ttflist if not entry.name.startswith("Last Resort")]
    for entry in sorted(fonts, key=_plain) if missing else ():
        if missing and (has := missing & _glyphs(entry.fname)):
            rcParams["font.family"] = list(dict.fromkeys([*rcParams["font.family"], entry.name]))
            missing -= has
    return "".join(sorted(missing))


def _glyphs(font: str) -> set[str]:
    """The characters of a font's file; none of one that cannot be drawn at any size, such as of color emoji."""
    try:
        opened = font_manager.get_font(font)
    except (OSError, RuntimeError):
        return set()
    return set(map(chr, opened.get_charmap())) if opened.scalable else set()


def _plain(entry: font_manager.FontEntry) -> tuple[bool, bool, str]:
    """Upright fonts of ordinary weight first."""
    return entry.style != "normal", entry.weight not in (400, "normal", "regular"), entry.fname


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Characters that no font has are drawn as boxes; `cover` tells.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, format="png")
    return stream.getvalue()
