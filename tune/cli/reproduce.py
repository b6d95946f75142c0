"""`imagetune reproduce`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated

import typer

from tune.cli import dtypes_table
from tune.cli.options import DEFAULT_OUT, DataDir, Json, Out
from tune.cli.output import percent, print_json, print_table, say
from tune.errors import UserError, WorkError

if TYPE_CHECKING:
    from tune.reproduce.merged_table import Line
    from tune.reproduce.published import PublishedRow

EXAMPLES = (
    "imagetune reproduce --list",
    "imagetune reproduce mnist_mlr mnist_cnn",
    "imagetune reproduce mnist_v3 --seeds 3 --csv mine.csv",
    "imagetune reproduce tiny_vgg_run3 --precision bfloat16",
    "imagetune reproduce dtypes",
)


def reproduce(
    rows: Annotated[
        list[str] | None,
        typer.Argument(metavar="ROW", help="Published runs of --list (default: all of them); or dtypes."),
    ] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Show the rows and what is measured of them; train nothing.")
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs per row: seed 0, 1, ...")] = 1,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="TYPE", help="Compute in it all rows that are not named after a type."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="The table to add to. Default: a file beside the runs."),
    ] = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Measure the published runs here: train, evaluate, compare. Finished runs are taken, interrupted ones go on.

    dtypes is a table of its own: data types of images, of training and of inference, with a figure beside the CSV file.
    """
    if dtypes_table.NAME in (rows or ()):
        _only_dtypes(rows or [], precision)
        with _continuable():
            dtypes_table.dtypes(only_list, seeds, csv, out, data_dir, json)
        return
    from tune.reproduce.published import computed_in, rows_named
    from tune.reproduce.reproduce import table

    wanted = rows_named(rows or ())
    if precision is not None:
        wanted = computed_in(wanted, precision)
    place = out / "reproduce"
    path = csv or place / "reproduction.csv"
    if not only_list:
        with _continuable():
            _measure(wanted, seeds, place, path, data_dir)
    known = table(path)
    _report([known[row.name] for row in wanted], json)
    if not only_list:
        say(f"wrote {path}")
        _refuse_diverged(wanted, known)


def _only_dtypes(rows: list[str], precision: str | None) -> None:
    """Refuse what does not go with the table of data types: other rows, and a type for all of its own.

    Raises:
        UserError: there is such a thing.
    """
    if precision is not None:
        raise UserError(f"--precision {precision}: {dtypes_table.NAME} compares all of them; legal: leave it out")
    if others := [row for row in rows if row != dtypes_table.NAME]:
        raise UserError(f"{dtypes_table.NAME} is a table of its own, beside it: {', '.join(others)}; legal: either")


@contextmanager
def _continuable() -> Iterator[None]:
    """Say how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        command = shlex.join(["imagetune", *sys.argv[1:]])
        raise KeyboardInterrupt(f"interrupted; go on with: {command}") from None


def _measure(wanted: list[PublishedRow], seeds: int, place: Path, path: Path, data_dir: Path | None) -> None:
    """Train and evaluate each row, and record it as soon as it is known."""
    from tune.cli.screen import Screen
    from tune.reproduce.merged_table import check_writable
    from tune.reproduce.reproduce import check_rows, measure, record, table
    from tune.spec import data_root
    from tune.training import keep_freed_memory

    keep_freed_memory()
    root, screen = data_root(data_dir), Screen()
    experiments = check_rows(wanted, root)
    check_writable(path)
    table(path)  # whatever is wrong with the file is better said before the first training than after it
    for number, row in enumerate(wanted, start=1):
        screen.say(f"row {number} of {len(wanted)}: {row.name}")
        record(path, measure(row, experiments[row.name], seeds, place, root, screen))


def _refuse_diverged(wanted: Iterable[PublishedRow], known: dict[str, Line]) -> None:
    """Say which rows came to nothing.

    Raises:
        WorkError: there is one.
    """
    if bad := [row.name for row in wanted if known[row.name]["status"] == "diverged"]:
        raise WorkError(f"diverged, no loss stayed a finite number: {', '.join(bad)}")


def _report(lines: list[Line], json: bool) -> None:
    if json:
        print_json({"rows": lines})
        return
    caveats = list(dict.fromkeys(line["caveat"] for line in lines if line["caveat"]))
    marks = dict(zip(caveats, ascii_lowercase, strict=False))
    sides = {"row": "name", "published": "right", "ours": "right", "points": "right", "verdict": "name", "": "name"}
    print_table(sides, ((*_cells(line), marks.get(line["caveat"], "")) for line in lines))
    print("Accuracy on the test images, val: on the validation images; points: ours minus")
    print("published; within: at most 0.1 points apart on MNIST, 1 on CIFAR.")
    if marks:
        print("Of the published figures:")
    for caveat, mark in marks.items():
        print(f"{mark}: {caveat}")
    for precision in ("bfloat16", "float16"):
        if rows := [line["row"] for line in lines if line.get("precision") == precision]:
            print(f"computed in {precision}: {', '.join(rows)}")


def _cells(line: Line) -> tuple[str, ...]:
    """A row as people read it, by the accuracy that it is compared in."""
    name = "val_accuracy" if line["published_accuracy"] is None and line["published_val_accuracy"] else "accuracy"
    published, mean = line[f"published_{name}"], line.get(f"{name}_mean")
    difference, deviation = line["difference"], line.get(f"{name}_std")
    mark = "val " if name == "val_accuracy" else ""
    spread = f" ± {100 * deviation:.2f}" if deviation is not None else ""
    return (
        line["row"],
        f"{mark}{percent(published)}" if published is not None else "-",
        line["status"] if mean is None else f"{100 * mean:.2f}{spread} %",
        "-" if difference is None else f"{100 * difference:+.3f}",
        line["verdict"] or "",
    )
