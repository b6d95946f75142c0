"""`imagetune evaluate`."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune.cli.options import DEFAULT_OUT, DataDir, Json, Out, Run
from tune.cli.output import count, number, percent, print_json, print_table, say
from tune.errors import UserError

if TYPE_CHECKING:
    from tune.results.evaluate import Evaluation

EXAMPLES = (
    "imagetune evaluate first",
    "imagetune evaluate first --split validation --json",
    "imagetune evaluate first --predictions 4x8",
)


class Split(StrEnum):
    """The splits of a data set."""

    test = "test"
    validation = "validation"
    train = "train"


def evaluate(
    run: Run,
    split: Annotated[Split, typer.Option("--split", help="Which images.")] = Split.test,
    predictions: Annotated[
        str | None,
        typer.Option("--predictions", metavar="ROWSxCOLS", help="Also a picture of so many images and predictions."),
    ] = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Judge a run's best weights: accuracy, F1, calibration and confusion, per class; with figures."""
    grid = None if predictions is None else parse_grid(predictions)

    from tune.record.layout import locate_run
    from tune.results import evaluate as results
    from tune.spec import data_root

    found = results.evaluate(locate_run(run, out), split.value, data_root(data_dir), say, grid)
    if json:
        print_json(found.scores)
    else:
        _show(found)


def parse_grid(text: str) -> tuple[int, int]:
    """`4x8` as (4, 8).

    Raises:
        UserError: it is not of that form.
    """
    if not (match := re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", text, re.ASCII)):
        raise UserError(f"--predictions: {text!r} is no grid; legal: ROWSxCOLS, such as 4x8")
    return int(match[1]), int(match[2])


def _show(found: Evaluation) -> None:
    scores: dict[str, Any] = found.scores
    print(
        f"{scores['split']}, {scores['n']:,} images: accuracy {percent(scores['accuracy'])}, "
        f"macro F1 {percent(scores['macro_f1'])}, loss {number(scores['loss'])},\n"
        f"top-5 accuracy {percent(scores['top5_accuracy'])}, "
        f"expected calibration error {percent(scores['expected_calibration_error'])}"
    )
    measures = ("accuracy", "precision", "recall", "f1")
    print_table(
        {"class": "left", "n": "right", **dict.fromkeys(measures, "right")},
        ((row["name"], count(row["n"]), *(percent(row[key]) for key in measures)) for row in scores["per_class"]),
    )
    for path in found.files:
        print(f"wrote {path}")
