"""What all pages share: the template with its style, charts inside the page, and sections below each other."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader
from plotly.offline import get_plotlyjs

from tune.report.charts.style import without_legend

LONG = 60
"""Letters in a table's cell from which it has several lines."""
_PLOT = {"responsive": True, "displayModeBar": False}  # its buttons cover titles; dragging zooms without them


@dataclass(frozen=True)
class Section:
    """A part of the page: charts, and whatever else is HTML.

    Attributes:
        title: Its heading.
        charts: As `drawn` makes them, below each other or side by side.
        text: Above the charts, escaped.
        html: Below them, as it is.
        wide: Whether charts keep a width at which they can be read, and are scrolled on a phone.
    """

    title: str
    charts: Sequence[str] = ()
    text: str = ""
    html: str = ""
    wide: bool = False


def fill(template: str, **values: Any) -> str:
    """A page with everything in it, plotly too.

    Args:
        template: Its file in this package.
        **values: What it shows; text is escaped.
    """
    pages = Environment(autoescape=True, loader=PackageLoader("tune.report", ""))
    return pages.get_template(template).render(plotly=get_plotlyjs(), **values)


def drawn(figure: go.Figure, identity: str | None = None) -> str:
    """A chart as HTML, for a page that has plotly."""
    text: str = without_legend(figure).to_html(full_html=False, include_plotlyjs=False, config=_PLOT, div_id=identity)
    return text


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, text: int) -> str:
    """A table as HTML; its first `text` columns hold text, the others numbers. Everything is escaped."""

    def line(tag: str, cells: Sequence[str]) -> str:
        kinds = (
            (' class="text long"' if len(cell) > LONG else " class=text") * (n < text) for n, cell in enumerate(cells)
        )
        return "".join(f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{line('th', head)}</tr></thead><tbody>{body}</tbody></table></div>"
