"""What all pages share: the template with its style, charts inside the page, and sections below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader
from plotly.offline import get_plotlyjs

_PLOT = {"responsive": True, "displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


@dataclass(frozen=True)
class Section:
    """A part of the page: charts, and whatever else is HTML."""

    title: str
    charts: Sequence[str] = ()
    text: str = ""
    html: str = ""


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
    text: str = figure.to_html(full_html=False, include_plotlyjs=False, config=_PLOT, div_id=identity)
    return text
