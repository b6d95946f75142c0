"""The look of all notebooks: one template for charts, images as a chart, tables with readable numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import plotly.io as pio
from pandas.io.formats.style import Styler

# Okabe and Ito's colors, which people with any kind of color blindness can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
GREY = "#5f6368"
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
PERCENT = ".4~p"
"""The format of an axis of shares: 97.5%."""
CELL = 104
"""Side of an image in a chart, in pixels of the screen."""


def use() -> None:
    """Draw all charts from now on in this style."""
    px.defaults.height = 420
    pio.templates["imagetune"] = go.layout.Template(
        layout={
            "colorway": COLORS,
            "colorscale": {"sequential": "Blues"},
            "title": {"x": 0, "xanchor": "left", "xref": "paper", "font": {"size": 17}},
            "font": {"size": 13},
            "margin": {"l": 64, "r": 16, "t": 64, "b": 56},
            "legend": {"title": {"text": ""}},
            "hovermode": "closest",
            "hoverlabel": {"namelength": -1},
        }
    )
    pio.templates.default = "plotly_white+imagetune"


def spans_magnitudes(values: pd.Series[Any]) -> bool:
    """Whether a logarithmic axis shows values better: positive ones, the largest over 5 times the smallest."""
    if not pd.api.types.is_numeric_dtype(values) or values.dropna().empty:
        return False
    return bool(values.min() > 0 and values.max() > 5 * values.min())


def pictures(images: Any, titles: Sequence[str], title: str, columns: int = 10) -> go.Figure:
    """Images side by side, pixels not blurred, each below its own title.

    Args:
        images: (n, C, H, W) uint8, an array or a tensor; C is 1 or 3.
        titles: One per image.
        title: Of the whole.
        columns: Images in a row.
    """
    pixels = np.asarray(images).transpose(0, 2, 3, 1)
    if not len(pixels):
        empty = go.Figure(layout={"title": f"{title}: none", "height": 100})
        return empty.update_xaxes(visible=False).update_yaxes(visible=False)
    blank = -len(pixels) % columns
    pixels = np.concatenate([pixels, np.full((blank, *pixels.shape[1:]), 255, np.uint8)])
    texts = ["<br>".join(map(_fitting, title.split("<br>"))) for title in [*titles, *[""] * blank]]
    rows, lines = len(pixels) // columns, max(text.count("<br>") for text in texts) + 1
    gap = 12 + 15 * lines
    height = rows * (CELL + gap)
    figure = px.imshow(
        np.repeat(pixels, 3 // pixels.shape[3], axis=3),
        facet_col=0, facet_col_wrap=columns, facet_col_spacing=0.008, facet_row_spacing=gap / height,
    )  # fmt: skip
    figure.for_each_annotation(lambda note: note.update(text=texts[int(note.text.split("=")[1])], font_size=12))
    figure.update_xaxes(visible=False).update_yaxes(visible=False).update_traces(hoverinfo="skip", hovertemplate=None)
    margin = {"l": 0, "r": 0, "t": 64 + gap, "b": 8}
    return figure.update_layout(title=title, height=height + 72, width=columns * (CELL + 8), margin=margin)


def _fitting(line: str) -> str:
    return line if len(line) <= 16 else f"{line[:15]}…"


SHARES = ("accuracy", "precision", "recall", "f1", "probability", "share")


def table(frame: pd.DataFrame) -> Styler:
    """A dataframe with shares in percent, four digits elsewhere, short names, and nothing where a value is missing."""
    frame = frame.set_axis(_short([str(name) for name in frame]), axis="columns")
    formats: dict[Any, Any] = {}
    left: list[Any] = [{"selector": "td", "props": "white-space: nowrap"}]
    for place, name in enumerate(map(str, frame)):
        if any(word in name for word in SHARES):
            formats[name] = "{:.2%}"
        elif pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name]):
            formats[name] = "{:,}" if pd.api.types.is_integer_dtype(frame[name]) else "{:.4g}"
        else:
            left.append({"selector": f".col{place}", "props": "text-align: left"})
    return frame.style.format(formats, na_rep="").hide(axis="index").set_table_styles(left)


def _short(names: list[str]) -> list[str]:
    """The last parts of dotted names, where these say enough and differ."""
    last = [name.rsplit(".", 1)[-1] for name in names]
    return [
        name.removeprefix("config.") if brief == "name" or last.count(brief) > 1 else brief
        for name, brief in zip(names, last, strict=True)
    ]


def split_buttons(figure: go.Figure, splits: Sequence[str]) -> go.Figure:
    """Add buttons that show one split or all; the names of the traces end in their split."""
    shown = {
        "all splits": [True] * len(figure.data),
        **{split: [trace.name.endswith(split) for trace in figure.data] for split in splits},
    }
    buttons = [{"label": label, "method": "restyle", "args": [{"visible": which}]} for label, which in shown.items()]
    menu = {"type": "buttons", "buttons": buttons, "x": 1.02, "xanchor": "left", "y": 0, "yanchor": "bottom"}
    return figure.update_layout(updatemenus=[menu])
