"""`imagetune compare`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.words import counted
from tune.cli.options import DEFAULT_OUT, Json, Out, local_path
from tune.cli.output import count, number, percent, print_json, print_table, say, show_line

if TYPE_CHECKING:
    from tune.report.comparison.compare import Comparison, Pair
    from tune.report.comparison.paired import Difference

EXAMPLES = (
    "imagetune compare first second",
    "imagetune compare checkpoints/digits/winners/* --output winners.html",
)
WIDTH = 80
MOST_CLASSES = 20  # of a table on a terminal; the page has all


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="The names of runs below --out, or their folders.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", parser=local_path, metavar="FILE.html", help="Also write a page with curves and all classes."
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Rank runs, and test whether they differ on the test images."""
    from tune.files import write_whole
    from tune.record import locate_run
    from tune.report.comparison.compare import compare as compared

    found = compared([locate_run(run, out) for run in runs])
    if output is not None:
        from tune.report.comparison.page import render

        write_whole(output, render(found).encode(errors="backslashreplace"))
        say(f"wrote {output}")
    if json:
        print_json(found.to_dict())
    else:
        _show(found)


def _show(found: Comparison) -> None:
    from tune.report.comparison.words import notes

    goal = "lower" if found.metric.goal == "min" else "higher"
    many = counted(len(found.runs), "run")
    print(f"{many}, ranked by {found.metric.name} ({goal} is better)")
    _show_runs(found)
    for note in notes(found):
        print(textwrap.fill(note, WIDTH))
    _show_settings(found)
    _show_differences(found)


def _show_runs(found: Comparison) -> None:
    kinds = {"accuracy": percent} if found.measure == "accuracy" else {"reconstruction": number, "kl": number}
    shown = {"val_loss": number, **{f"val_{kind}": show for kind, show in kinds.items()}, "test_loss": number}
    shown |= {"test_accuracy": percent} if found.measure == "accuracy" else {}
    headings = {name: name.replace("_", "\n").replace("reconstruction", "recon") for name in shown}
    print_table(
        {
            "run": "left",
            "best\nepoch": "right",
            **dict.fromkeys([*headings.values(), "seconds", "parameters"], "right"),
        },
        (
            (
                row["run"],
                f"{count(row['best_epoch'])}/{row['epochs']}",
                *(show(row.get(name)) for name, show in shown.items()),
                number(row["seconds"], 1),
                count(row["parameters"]),
            )
            for row in found.rows
        ),
    )


def _show_settings(found: Comparison) -> None:
    from tune.spec.files import value_text

    shared = {field: values for field, values in found.settings.items() if None not in values}
    if shared:
        print("Settings that differ, in the order of the runs above:")
    for field, values in shared.items():
        text = f"{field}: {' | '.join(map(value_text, values))}"
        print(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    "))
    if own := len(found.settings) - len(shared):
        print(f"  and {own} that only some runs have; --output FILE.html shows them")


def _show_differences(found: Comparison) -> None:
    from tune.report.comparison.words import ABOUT_SEEDS, METHODS, UNITS

    pairs = [(f"{pair.run} - {pair.against}", pair.overall) for pair in found.pairs if pair.overall is not None]
    if pairs:
        print(f"\nDifference in test {found.measure}, in {UNITS[found.measure]}:")
        _show_intervals("runs", pairs, found.measure)
        print(textwrap.fill(f"{METHODS[found.measure]} {ABOUT_SEEDS}", WIDTH))
    if len(pairs) == 1:
        _show_classes(next(pair for pair in found.pairs if pair.overall is not None), found.measure)
    elif pairs:
        print("With --output FILE.html, a page shows the classes too.")
    for pair in found.pairs:
        if pair.overall is None:
            why, command, run = f"{pair.run} is not compared: {pair.reason}".partition("; run: ")
            print(textwrap.fill(why, WIDTH))
            if command:
                show_line(f"  run: {run}")  # whole, to be copied


def _show_classes(pair: Pair, measure: str) -> None:
    from tune.report.comparison.words import largest

    rows = largest(pair.per_class, MOST_CLASSES)
    which = (
        f"the {len(rows)} of {counted(len(pair.per_class), 'class')} that differ most"
        if len(rows) < len(pair.per_class)
        else "by class"
    )
    print(f"\n{pair.run} - {pair.against}, {which}:")
    _show_intervals("class", rows, measure)


def _show_intervals(first: str, rows: Sequence[tuple[str, Difference]], measure: str) -> None:
    from tune.report.comparison.words import difference_text, interval_text, p_text

    print_table(
        {first: "left", **dict.fromkeys(("images", "difference", "95 % interval", "p"), "right")},
        (
            (name, count(one.n), difference_text(one, measure), interval_text(one, measure), p_text(one))
            for name, one in rows
        ),
    )
