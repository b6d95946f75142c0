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
from tune.cli.options import DEFAULT_OUT, DataDir, Json, Out, local_path
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
        typer.Argument(metavar="ROW", help="Published runs, as in --list (default: all); or dtypes."),
    ] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Show the rows and their results so far; train nothing.")
    ] = False,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, max=1_000, help="Runs per row, with seeds 0, 1, ...")
    ] = 1,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="TYPE", help="Precision for rows that don't name one."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            parser=local_path,
            metavar="FILE",
            help="Table to add the results to. Default: a file beside the runs.",
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Train the published runs here and compare. Finished runs are reused, interrupted ones are resumed.

    dtypes measures another table: data types of images, training and inference; with a figure beside the CSV file.
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
    """Refuse arguments that do not go with the table of data types.

    Raises:
        UserError: There is one.
    """
    if precision is not None:
        raise UserError(f"{dtypes_table.NAME} compares all precisions; remove --precision {precision}")
    if others := [row for row in rows if row != dtypes_table.NAME]:
        raise UserError(f"{dtypes_table.NAME} cannot be combined with other rows; remove {', '.join(others)}")


@contextmanager
def _continuable() -> Iterator[None]:
    """After Ctrl-C, say how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        command = shlex.join(["imagetune", *sys.argv[1:]])
        raise KeyboardInterrupt(f"interrupted; continue with: {command}") from None


def _measure(wanted: list[PublishedRow], seeds: int, place: Path, path: Path, data_dir: Path | None) -> None:
    """Train and evaluate each row, and save it as soon as it is done."""
    from tune.cli.screen import Screen
    from tune.reproduce.merged_table import check_writable
    from tune.reproduce.reproduce import check_rows, measure, record, table
    from tune.spec import data_root
    from tune.training import prepare_process

    prepare_process()
    root, screen = data_root(data_dir), Screen()
    experiments = check_rows(wanted, root)
    check_writable(path)
    table(path)  # to find out before the first training whether the file is damaged
    for number, row in enumerate(wanted, start=1):
        screen.say(f"row {number} of {len(wanted)}: {row.name}")
        record(path, measure(row, experiments[row.name], seeds, place, root, screen))


def _refuse_diverged(wanted: Iterable[PublishedRow], known: dict[str, Line]) -> None:
    """Name the rows without a result.

    Raises:
        WorkError: There is one.
    """
    if bad := [row.name for row in wanted if known[row.name]["status"] == "diverged"]:
        raise WorkError(f"diverged, the loss is not finite: {', '.join(bad)}")


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
        print("About the published figures:")
    for caveat, mark in marks.items():
        print(f"{mark}: {caveat}")
    for precision in ("bfloat16", "float16"):
        if rows := [line["row"] for line in lines if line.get("precision") == precision]:
            print(f"computed in {precision}: {', '.join(rows)}")


def _cells(line: Line) -> tuple[str, ...]:
    """A row of the printed table, with the accuracy that is compared."""
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
