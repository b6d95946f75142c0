"""Cells of a table's line that sum up several runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tune.reproduce.merged_table import Line
from tune.runs.info import RunInfo
from tune.runs.retrain import spread


def means(runs: Sequence[object], names: Iterable[str]) -> Line:
    """`NAME_mean` and `NAME_std` of each attribute over the runs that know it; None where none does."""
    cells: Line = {}
    for name in names:
        values = [value for one in runs if (value := getattr(one, name)) is not None]
        figures = spread(values) if values else {"mean": None, "std": None}
        cells |= {f"{name}_mean": figures["mean"], f"{name}_std": figures["std"]}
    return cells


def joined(values: Iterable[str]) -> str:
    """Each different value once: runs of one row may have been made on two machines."""
    return "; ".join(dict.fromkeys(values))


def made_with(infos: Sequence[RunInfo]) -> Line:
    """On what, by which versions and when runs were made, which may be some time before they are put into a table."""
    return {
        "hardware": joined(info.hardware for info in infos),
        "python": joined(info.versions["python"] for info in infos),
        "torch": joined(info.versions["torch"] for info in infos),
        "commit": joined(info.commit for info in infos),
        "date": joined(info.date for info in infos),
    }


def middle(name: str, found: Iterable[tuple[float, float, float] | None]) -> Line:
    """`NAME_low`, `NAME` and `NAME_high`: quartiles of the run whose median is in the middle; None where none has."""
    known = sorted((each for each in found if each is not None), key=lambda each: each[1])
    low, median, high = known[(len(known) - 1) // 2] if known else (None, None, None)
    return {f"{name}_low": low, name: median, f"{name}_high": high}
