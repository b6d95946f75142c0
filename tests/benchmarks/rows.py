"""What every measured row carries beside its figures, and how rows reach their CSV file."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def circumstances() -> dict[str, str]:
    """Hardware, versions, commit and date of a measurement."""
    import torch

    root = Path(__file__).parents[2]
    ask = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(ask, capture_output=True, text=True, check=False)  # a copy without git has no commit
    return {
        "hardware": f"{os.cpu_count()} cores of {cpu_name()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit.stdout.strip() or "unknown",
        "date": datetime.now(UTC).date().isoformat(),
    }


def cpu_name() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def write_rows(name: str, rows: Sequence[Mapping[str, Any]], *, key: str | None = None) -> Path:
    """Write rows to `results/NAME.csv`; with a key, rows of other values of that column are kept."""
    path = RESULTS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    kept: list[Mapping[str, Any]] = []
    if key is not None and path.is_file():
        replaced = {str(row[key]) for row in rows}
        kept = [row for row in read_rows(name) if row[key] not in replaced]
    every = [*kept, *rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(column for row in every for column in row)))
        writer.writeheader()
        writer.writerows(every)
    return path


def read_rows(name: str) -> list[dict[str, str]]:
    """The rows of `results/NAME.csv`."""
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
