"""`imagetune results`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.words import counted
from tune.cli.options import DEFAULT_OUT, MOST, Json, Out, Search, Study, local_path
from tune.cli.output import count, front_text, measured, number, print_json, say, show_line, validated, where

if TYPE_CHECKING:
    from tune.record import SearchFolder
    from tune.record.opening import Search as FoundSearch

EXAMPLES = (
    "imagetune results digits",
    "imagetune results digits --top 3 --sort efficiency",
    "imagetune results digits --csv trials.csv",
)
WIDTH = 80
WIDE = 100  # columns of a terminal in which the node of each trial is shown, where there are several
_INDENT = " " * 7
_SHOWN = ("trial", "status", "val_loss", "best_epoch", "epochs", "parameters")
_SECOND = ("val_accuracy", "val_reconstruction")  # beside val_loss: the first of these that any trial has


def results(
    search: Search,
    top: Annotated[
        int | None, typer.Option("--top", metavar="K", min=1, max=MOST, help="Show only the best K trials.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", metavar="COLUMN", help="Rank by this column. Default: the search's metric."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", parser=local_path, metavar="FILE", help="Also write the table as CSV.")
    ] = None,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Show the trials of a search, best first, and update trials.parquet and epochs.parquet."""
    from tune.files import write_whole
    from tune.record import locate_search
    from tune.record.opening import read_search
    from tune.record.tables import plain_rows, ranked

    found = read_search(locate_search(search, out, study))
    table = (found.table if sort is None else ranked(found.table, sort)).head(top or len(found.table))
    _write(found)
    if csv is not None:
        write_whole(csv, table.to_csv(index=False).encode(errors="backslashreplace"))
        say(f"wrote {csv}")
    if json:
        print_json({"trials": plain_rows(table)})
    else:
        print_ranking(found, plain_rows(table), sort)


def show(folder: SearchFolder, top: int | None = None) -> None:
    """Print the best trials of a search."""
    from tune.record.opening import read_search
    from tune.record.tables import plain_rows

    found = read_search(folder)
    print_ranking(found, plain_rows(found.table.head(top or len(found.table))))


def _write(found: FoundSearch) -> None:
    from tune.record.tables import epochs_table, write_tables

    try:
        write_tables(
            found.folder, found.table.sort_values("trial"), epochs_table(found.trials, seeds=found.settings.seeds)
        )
    except OSError as error:
        # The table can still be shown to someone who may only read the folder.
        say(f"cannot write tables to {found.folder.path}: {error.strerror}")


def print_ranking(found: FoundSearch, shown: list[dict[str, Any]], sort: str | None = None) -> None:
    """Print ranked trials, two lines each: metrics, then the values of the searched fields."""
    from tune.record.pareto import hypervolume
    from tune.spec.dotted import short_names

    several = found.objective.several
    by = f"front of {found.objective.text}" if several else found.objective.metric.name
    show_line(f"{found.folder.name}: {counted(len(found.trials), 'trial')}, ranked by {sort or by}")
    if several:
        print(front_text(len(found.front), hypervolume(found.points)))
    print()
    placed = len({row["node"] for row in shown} - {None}) > 1 and get_terminal_size().columns >= WIDE
    second = _second(found, sort or found.objective.metric.name)
    width = len(second)
    print(
        f"{'front  ' * several}{'trial':>5}  {'status':<13} {'val_loss':>8} {second} {'best epoch':>10} "
        f"{'parameters':>12}{'  node' * placed}"
    )
    names = short_names(found.fields)
    for row in shown:
        epoch = f"{count(row['best_epoch'])} of {row['epochs']}"
        front = f"{count(row['front']):>5}  " if several else ""
        print(
            f"{front}{row['trial']:>5}  {row['status']:<13} {number(row['val_loss']):>8} "
            f"{measured(second, row[second]):>{width}} {epoch:>10} {count(row['parameters']):>12}"
            f"{f'  {_place(row)}' * placed}"
        )
        extra = {sort: row[sort]} if sort and sort not in (*_SHOWN, second) and not sort.startswith("config.") else {}
        if row.get("seeds", 1) > 1:
            print(_INDENT + textwrap.shorten(f"{where(row)}: {validated(row)}", WIDTH - len(_INDENT)))
        values = extra | {short: row[f"config.{name}"] for name, short in names.items()}
        print(textwrap.fill(_values_text(values), WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT))
        if row["status"] not in ("completed", "stopped", "running", "waiting") and row["reason"]:
            print(_INDENT + textwrap.shorten(row["reason"], WIDTH - len(_INDENT)))


def _place(row: Mapping[str, Any]) -> str:
    """The node of a trial and its GPUs there."""
    if row["node"] is None:
        return "-"
    return f"{row['node']} gpu {row['gpu']}" if row["gpu"] else str(row["node"])


def _second(found: FoundSearch, ranked_by: str) -> str:
    """The metric to show beside val_loss: the one that the trials are ranked by, else what people know best."""
    from tune.spec.metric import METRICS

    known = [name for name in _SECOND if name in found.table and found.table[name].notna().any()]
    return ranked_by if ranked_by in METRICS and ranked_by != "val_loss" else (known or list(_SECOND))[0]


def _values_text(values: Mapping[str, Any]) -> str:
    from tune.spec.files import value_text

    shown = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in values.items()}
    # Fields whose condition does not hold in a trial are left out.
    return "  ".join(f"{key}={value_text(value)}" for key, value in shown.items() if value is not None)
