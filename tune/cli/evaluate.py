"""`imagetune evaluate`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune.cli.options import DEFAULT_OUT, DataDir, Json, Out, Run, parse_grid
from tune.cli.output import count, number, percent, print_json, print_table, say

if TYPE_CHECKING:
    from tune.evaluation.evaluate import Evaluation

EXAMPLES = (
    "imagetune evaluate first",
    "imagetune evaluate first --split validation --json",
    "imagetune evaluate first --predictions 4x8",
)


MOST_ROWS, WORST_ROWS = 100, 20  # classes up to which all are listed, and how many of more


class Split(StrEnum):
    """The splits of a data set."""

    test = "test"
    validation = "validation"
    train = "train"


def evaluate(
    run: Run,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="data.path=FOLDER where the images were moved to."),
    ] = None,
    split: Annotated[Split, typer.Option("--split", help="Which images to evaluate on.")] = Split.test,
    predictions: Annotated[
        str | None,
        typer.Option("--predictions", metavar="ROWSxCOLS", help="Also draw ROWSxCOLS images with their predictions."),
    ] = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Evaluate a run on a split: accuracy, F1, calibration, scores per class, confusion matrix; with figures."""
    grid = None if predictions is None else parse_grid("--predictions", predictions)

    from tune.evaluation import evaluate as results
    from tune.record.folder import locate_run
    from tune.spec import data_root

    path = _path(overrides or [])
    found = results.evaluate(locate_run(run, out), split.value, data_root(data_dir), say, grid, path)
    if json:
        print_json(found.scores)
    else:
        _show(found)


def _path(overrides: list[str]) -> str | None:
    """The new location of the images, if it is given.

    Raises:
        SpecError: Something else is to be changed.
    """
    from tune.spec import Problem, SpecError
    from tune.spec.errors import OVERRIDE
    from tune.spec.overrides import parse_overrides

    values, problems = parse_overrides(overrides)
    message = "cannot be changed here: a run is evaluated as it was trained; only data.path can"
    problems += [Problem(name, message, OVERRIDE) for name in values if name != "data.path"]
    if problems:
        raise SpecError(problems)
    return values.get("data.path")


def _show(found: Evaluation) -> None:
    scores = found.scores
    (_show_classes if "accuracy" in scores else _show_bound)(scores)
    for path in found.files:
        print(f"wrote {path}")


def _show_bound(scores: dict[str, Any]) -> None:
    terms = ", ".join(f"{name} {number(scores[name])}" for name in ("loss", "reconstruction", "kl"))
    print(f"{scores['split']}, {scores['n']:,} images: {terms} (per image)")


def _show_classes(scores: dict[str, Any]) -> None:
    print(
        f"{scores['split']}, {scores['n']:,} images: accuracy {percent(scores['accuracy'])}, "
        f"macro F1 {percent(scores['macro_f1'])}{_over(scores['per_class'])}, loss {number(scores['loss'])},\n"
        f"top-5 accuracy {percent(scores['top5_accuracy'])}, "
        f"expected calibration error {percent(scores['expected_calibration_error'])}"
    )
    rows = scores["per_class"]
    if len(rows) > MOST_ROWS:
        print(f"The {WORST_ROWS} classes with the lowest F1 of {len(rows):,}; evaluation.json has all:")
        rows = sorted((row for row in rows if row["n"]), key=lambda row: row["f1"])[:WORST_ROWS]
    measures = ("accuracy", "precision", "recall", "f1")
    print_table(
        {"class": "left", "n": "right", **dict.fromkeys(measures, "right")},
        (
            (row["name"], count(row["n"]), *(percent(row[key] if row["n"] else None) for key in measures))
            for row in rows
        ),
    )


def _over(per_class: list[dict[str, Any]]) -> str:
    """How many classes an average is over, where that is not all of them."""
    present = sum(row["n"] > 0 for row in per_class)
    return "" if present == len(per_class) else f" (over {present:,} of {len(per_class):,} classes)"
