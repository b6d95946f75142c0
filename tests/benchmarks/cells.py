"""How the cells of a table are written: a function of the row for each column."""

from __future__ import annotations

from collections.abc import Callable

Row = dict[str, str]
Columns = dict[str, Callable[[Row], str]]


def plain(name: str) -> Callable[[Row], str]:
    """The cell unchanged."""
    return lambda row: row.get(name, "") or "-"


def percent(name: str, spread: str | None = None) -> Callable[[Row], str]:
    """A fraction as a percentage, with its standard deviation."""

    def cell(row: Row) -> str:
        if not row.get(name):
            return "-"
        tail = f" ± {100 * float(row[spread]):.2f}" if spread and row.get(spread) else ""
        return f"{100 * float(row[name]):.2f} %{tail}"

    return cell


def times(name: str, digits: int = 1) -> Callable[[Row], str]:
    """A ratio."""
    return lambda row: f"{float(row[name]):.{digits}f}x"


def whole(name: str) -> Callable[[Row], str]:
    """A whole number with thousands separators."""
    return lambda row: f"{float(row[name]):,.0f}" if row.get(name) else "-"


def decimal(name: str) -> Callable[[Row], str]:
    """A number with four decimals."""
    return lambda row: f"{float(row[name]):.4f}" if row.get(name) else "-"


def quartiles(name: str, digits: int) -> Callable[[Row], str]:
    """A median, followed by the first and third quartile in brackets."""

    def cell(row: Row) -> str:
        if not row.get(name):
            return "-"
        low, value, high = (f"{float(row[column]):.{digits}f}" for column in (f"{name}_low", name, f"{name}_high"))
        return f"{value} ({low}-{high})"

    return cell


def share(name: str) -> Callable[[Row], str]:
    """A ratio, followed by its 95 % interval in brackets and the largest of any task."""

    def cell(row: Row) -> str:
        value, low, high, worst = (f"{float(row[f'{name}{end}']):.2f}" for end in ("", "_low", "_high", "_worst"))
        return f"{value} ({low}-{high}), worst {worst}"

    return cell


def megabytes(name: str, digits: int) -> Callable[[Row], str]:
    """Bytes as MB (10^6 bytes)."""
    return lambda row: f"{float(row[name]) / 1e6:,.{digits}f}" if row.get(name) else "-"


def measured(row: Row) -> bool:
    """Whether a row has been measured."""
    return row["status"] == "measured"
