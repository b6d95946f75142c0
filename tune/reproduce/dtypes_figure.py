"""The data-type experiment as a figure: a panel per measure, a line per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tune.drawing import png
from tune.reproduce.merged_table import Line

_BAR, _DOT, _SPREAD = "#8ab4d8", "#0b4f8a", "#24292f"


@dataclass(frozen=True)
class _Panel:
    """One measure: bars from zero, or dots on a narrower axis for scores, which differ in their last digits."""

    title: str
    column: str
    scale: float = 1.0
    low: str | None = None
    high: str | None = None
    deviation: str | None = None
    digits: int = 1

    @property
    def dots(self) -> bool:
        return self.column.endswith("_mean")


def _timed(title: str, column: str, digits: int) -> _Panel:
    return _Panel(title, column, low=f"{column}_low", high=f"{column}_high", digits=digits)


_PANELS = (
    _Panel("test accuracy, %", "accuracy_mean", 100, deviation="accuracy_std", digits=2),
    _Panel("test macro F1, %", "macro_f1_mean", 100, deviation="macro_f1_std", digits=2),
    _Panel("test loss", "loss_mean", deviation="loss_std", digits=4),
    _timed("training, s per epoch", "epoch_seconds", 1),
    _Panel("training, peak memory, MB", "peak_bytes", 1e-6, digits=0),
    _Panel("images in memory, MB", "image_bytes", 1e-6, digits=1),
    _timed("inference, ms per batch", "batch_ms", 2),
    _timed("inference, ms per image alone", "image_ms", 3),
    _Panel("model file, MB", "model_bytes", 1e-6, digits=2),
)


def dtypes_figure(lines: Sequence[Line]) -> bytes:
    """The table as PNG; unknown values are left out.

    Times are medians with quartiles, scores are means with one standard deviation if there are several seeds.
    """
    figure = Figure(figsize=(13, 2.2 + 1.05 * len(lines)), dpi=100, layout="constrained")
    grid = figure.subplots(3, 3, sharey=True)
    for axes, panel in zip(grid.flat, _PANELS, strict=True):
        _draw(axes, panel, lines)
    top = grid[0][0]
    top.set_yticks(range(len(lines)), labels=[line["row"] for line in lines])
    top.set_ylim(len(lines) - 0.4, -0.6)
    figure.suptitle(_title(lines), fontsize=10, parse_math=False)
    return png(figure)


def _draw(axes: Axes, panel: _Panel, lines: Sequence[Line]) -> None:
    axes.set_title(panel.title, fontsize=10)
    axes.grid(axis="x", color="#d8dee4", linewidth=0.5)
    axes.set_axisbelow(True)
    known = [(place, line) for place, line in enumerate(lines) if line.get(panel.column) is not None]
    for place, line in known:
        value, (low, high) = panel.scale * line[panel.column], _spread(panel, line)
        if panel.dots:
            axes.plot(value, place, "o", color=_DOT)
        else:
            axes.barh(place, value, color=_BAR, height=0.6)
        axes.plot([low, high], [place, place], color=_SPREAD, linewidth=1.5)
        text = f" {value:.{panel.digits}f}"
        axes.annotate(text, (max(high, value), place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.margins(x=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    if not panel.dots:
        axes.set_xlim(left=0)


def _spread(panel: _Panel, line: Line) -> tuple[float, float]:
    """The ends of a row's error bar; twice the value if it has none."""
    value = line[panel.column]
    deviation = line.get(panel.deviation or "") or 0.0
    low, high = (line.get(name or "") for name in (panel.low, panel.high))
    ends = (value - deviation if low is None else low, value + deviation if high is None else high)
    return panel.scale * ends[0], panel.scale * ends[1]


def _title(lines: Sequence[Line]) -> str:
    """Hardware, versions and number of test images."""

    def every(column: str) -> str:
        return ", ".join(dict.fromkeys(str(line[column]) for line in lines if line.get(column) is not None)) or "-"

    return (
        f"{every('hardware')}, threads: {every('threads')}; torch {every('torch')}, "
        f"ONNX Runtime {every('onnxruntime')}; test images: {every('test_images')}; commit {every('commit')}"
    )
