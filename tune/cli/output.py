"""What commands print: results on stdout (one JSON document with --json), everything else on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data.words import counted, printable
from tune.cli.streams import results
from tune.json_output import json_text


def say(text: str) -> None:
    """Print a line on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def show_line(text: str) -> None:
    """Print a line on stdout."""
    print(printable(text))


def print_json(document: Any) -> None:
    """Print one JSON document on stdout; NaN and infinity become null."""
    stream = results()
    print(json_text(document, ascii_only=not (stream.encoding or "utf-8").lower().startswith("utf")), file=stream)


def print_table(columns: Mapping[str, str], rows: Iterable[Sequence[str | Sequence[str]]]) -> None:
    """Print a table that fits the terminal.

    Args:
        columns: The kind of each column by heading: `left` for text, which may be wrapped; `name` for text and `right`
            for numbers, which are never wrapped.
        rows: The cells of each row: text on one line, or a list of lines.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading, side in columns.items():
        # Names without a space are broken where they are too long, not cut.
        table.add_column(
            heading, justify="right" if side == "right" else "left", no_wrap=side != "left", overflow="fold"
        )
    for row in rows:
        cells = ([cell] if isinstance(cell, str) else cell for cell in row)
        table.add_row(*(Text("\n".join(map(printable, lines))) for lines in cells))
    Console().print(table)


def wrapped(things: Sequence[str], width: int) -> list[str]:
    """Lines of at most this width that list the things with commas, broken between things if that can be."""
    lines = [""]
    for number, thing in enumerate(things):
        text = thing + "," * (number < len(things) - 1)
        longer = f"{lines[-1]} {text}".strip()
        if len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(text)
    return lines


def count(value: float | None) -> str:
    """A whole number with thousands separators; `-` if unknown."""
    return "-" if value is None else f"{value:,.0f}"


def number(value: float | None, digits: int = 4) -> str:
    """A number with a fixed number of digits; `-` if unknown."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as a percentage; `-` if unknown."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def measured(name: str, value: float | None) -> str:
    """A value for people, as the metric of this name is written; any other figure as a plain number."""
    from tune.spec.metric import METRICS

    return METRICS[name].text(value) if name in METRICS else number(value)


def validated(row: Mapping[str, Any]) -> str:
    """The validation metrics of a row of the table of trials in a line; with several seeds their spread too."""
    from tune.spec.metric import METRICS

    shown = [name for name in row if name in METRICS and METRICS[name].part == "val" and row[name] is not None]
    return ", ".join(f"{name} {METRICS[name].text(row[name], row.get(f'{name}_std'))}" for name in shown)


def where(row: Mapping[str, Any]) -> str:
    """Where a trial has these metrics: in its best epoch, or on average over its seeds."""
    return f"mean of {row['seeds']} seeds" if row.get("seeds", 1) > 1 else f"epoch {row['best_epoch']}"


def shape(value: Sequence[int] | None) -> str:
    """(3, 32, 32) as `3x32x32`."""
    return "-" if value is None else "x".join(map(str, value))


def front_text(trials: int, hypervolume: float | None) -> str:
    """How good the trade-offs of a search by several objectives are, in a line."""
    volume = "" if hypervolume is None else f"; hypervolume {hypervolume:.3f} of 1"
    return f"front: {counted(trials, 'trial')} that no other dominates{volume}"
