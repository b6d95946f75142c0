"""`imagetune reproduce dtypes`: measure, print and draw the table of data types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tune.cli.output import number, percent, print_json, print_table, say
from tune.errors import UserError, WorkError

if TYPE_CHECKING:
    from tune.reproduce.merged_table import Line

NAME = "dtypes"

_NOTES = """\
images: type in memory while training; trained: precision of the training. Scores: on the test
images. s/epoch: training and validation. batch, image: inference on the CPU, for a batch of the
training's size and for a single image; all times are medians. peak: memory of the training's
process, with Python and all libraries. "-": the ONNX rows use the training of the first row."""


def dtypes(only_list: bool, seeds: int, csv: Path | None, out: Path, data_dir: Path | None, json: bool) -> None:
    """Measure every row that is not measured yet, then show all.

    Raises:
        UserError: A file cannot be used, or a package is missing.
        WorkError: A training diverged.
    """
    from tune.files import write_whole
    from tune.reproduce.dtypes_figure import dtypes_figure
    from tune.reproduce.dtypes_table import DIVERGED, ROWS, table

    place = out / "reproduce" / NAME
    path = csv or place / f"{NAME}.csv"
    picture = path.parent / f"{path.stem}.png"
    if picture == path:
        raise UserError(f"--csv {path}: the figure would have the same name; use another suffix")
    if not only_list:
        _measure(seeds, place, path, data_dir)
    known = table(path)
    lines = [known[name] for name in ROWS]
    _report(lines, json)
    if only_list:
        return
    write_whole(picture, dtypes_figure(lines))
    say(f"wrote {path}")
    say(f"wrote {picture}")
    if bad := [line["row"] for line in lines if line["status"] == DIVERGED]:
        raise WorkError(f"diverged, the loss is not finite: {', '.join(bad)}")


def _measure(seeds: int, place: Path, path: Path, data_dir: Path | None) -> None:
    """Measure each row, and save it as soon as it is done."""
    from tune.cli.screen import Screen
    from tune.reproduce.dtypes import check_rows, measure
    from tune.reproduce.dtypes_table import ROWS, record, table
    from tune.reproduce.merged_table import check_writable
    from tune.spec import data_root
    from tune.training import prepare_process

    prepare_process()
    root, screen = data_root(data_dir), Screen()
    experiments = check_rows(ROWS.values(), root)
    check_writable(path)
    table(path)  # whatever is wrong with the file is better said before the first training than after it
    for place_of, row in enumerate(ROWS.values(), start=1):
        screen.say(f"row {place_of} of {len(ROWS)}: {row.name}")
        record(path, measure(row, experiments[row.name], seeds, place, root, screen))


def _report(lines: list[Line], json: bool) -> None:
    if json:
        print_json({"rows": lines})
        return
    texts = {"row": "name", **dict.fromkeys(("images", "trained", "inference"), "left")}
    print_table({**texts, **dict.fromkeys(("accuracy", "macro F1", "loss"), "right")}, map(_scores, lines))
    figures = ("s/epoch", "batch ms", "image ms", "model MB", "images MB", "peak MB")
    print_table({"row": "name", **dict.fromkeys(figures, "right")}, map(_costs, lines))
    print(_NOTES)


def _scores(line: Line) -> tuple[str, ...]:
    """A row's types and scores."""
    accuracy = line["status"] if line.get("accuracy_mean") is None else percent(line["accuracy_mean"])
    deviation = line.get("accuracy_std")
    return (
        line["row"],
        line["images"],
        line["training"],
        line["inference"],
        accuracy if deviation is None else f"{accuracy} ± {100 * deviation:.2f}",
        percent(line.get("macro_f1_mean")),
        number(line.get("loss_mean")),
    )


def _costs(line: Line) -> tuple[str, ...]:
    """A row's times and sizes."""
    return (
        line["row"],
        number(line.get("epoch_seconds"), 1),
        number(line.get("batch_ms"), 2),
        number(line.get("image_ms"), 3),
        *(_megabytes(line.get(name), digits) for name, digits in _BYTES.items()),
    )


_BYTES = {"model_bytes": 2, "image_bytes": 1, "peak_bytes": 0}


def _megabytes(value: float | None, digits: int) -> str:
    return number(None if value is None else value / 1e6, digits)
