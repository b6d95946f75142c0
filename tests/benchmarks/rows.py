"""What every measured row carries beside its figures, and how rows reach their CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tune.runs.versions import circumstances, cpu_name

__all__ = ["RESULTS", "circumstances", "cpu_name", "read_rows", "write_csv", "write_rows"]

RESULTS = Path(__file__).parent / "results"


def write_rows(name: str, rows: Sequence[Mapping[str, Any]], *, key: str | None = None) -> Path:
    """Write rows to `results/NAME.csv`; with a key, rows of other values of that column are kept."""
    path = RESULTS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    kept: list[Mapping[str, Any]] = []
    if key is not None and path.is_file():
        replaced = {str(row[key]) for row in rows}
        kept = [row for row in read_rows(name) if row[key] not in replaced]
    write_csv(path, [*kept, *rows])
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, with all columns that any of them has."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(column for row in rows for column in row)))
        writer.writeheader()
        writer.writerows(rows)


def read_rows(name: str) -> list[dict[str, str]]:
    """The rows of `results/NAME.csv`."""
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
