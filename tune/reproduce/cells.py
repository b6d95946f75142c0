"""Table cells that summarize several runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tune.reproduce.merged_table import Line
from tune.runs.info import RunInfo
from tune.runs.retrain import spread


def means(runs: Sequence[object], names: Iterable[str]) -> Line:
    """`NAME_mean` and `NAME_std` of each attribute over the runs that have it; None if none has."""
    cells: Line = {}
    for name in names:
        values = [value for one in runs if (value := getattr(one, name)) is not None]
        figures = spread(values) if values else {"mean": None, "std": None}
        cells |= {f"{name}_mean": figures["mean"], f"{name}_std": figures["std"]}
    return cells


def joined(values: Iterable[str]) -> str:
    """The distinct values, since runs of one row may come from several machines."""
    return "; ".join(dict.fromkeys(values))


def made_with(infos: Sequence[RunInfo]) -> Line:
    """The hardware, versions and dates of runs, which may be older than the table."""
    return {
        "hardware": joined(info.hardware for info in infos),
        "python": joined(info.versions["python"] for info in infos),
        "torch": joined(info.versions["torch"] for info in infos),
        "commit": joined(info.commit for info in infos),
        "date": joined(info.date for info in infos),
    }


def middle(name: str, found: Iterable[tuple[float, float, float] | None]) -> Line:
    """`NAME_low`, `NAME` and `NAME_high`: the quartiles of the run with the middle median; None if there are none."""
    known = sorted((each for each in found if each is not None), key=lambda each: each[1])
    low, median, high = known[(len(known) - 1) // 2] if known else (None, None, None)
    return {f"{name}_low": low, name: median, f"{name}_high": high}
