"""`imagetune evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.words import counted
from tune.cli.options import DEFAULT_OUT, DataDir, Json, Out, Run, parse_grid
from tune.cli.output import count, number, percent, print_json, print_table, say, show_line
from tune.errors import WorkError

if TYPE_CHECKING:
    from tune.evaluation.evaluate import Evaluation

EXAMPLES = (
    "imagetune evaluate first",
    "imagetune evaluate first --split validation --json",
    "imagetune evaluate first --predictions 4x8 --mistakes 2x8",
    "imagetune evaluate first --corruptions",
    "imagetune evaluate first --test-time-averaging",
)

MOST_ROWS, WORST_ROWS = 100, 20  # classes up to which all are listed, and how many of more
MOST_PAIRS = 5
MEASURES = ("accuracy", "precision", "recall", "f1")


class Split(StrEnum):
    """The splits of a data set."""

    test = "test"
    validation = "validation"
    train = "train"


def evaluate(
    run: Run,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="data.path=FOLDER if the images have moved."),
    ] = None,
    split: Annotated[Split, typer.Option("--split", help="Which images to evaluate on.")] = Split.test,
    predictions: Annotated[
        str | None,
        typer.Option("--predictions", metavar="ROWSxCOLS", help="Also draw ROWSxCOLS images with their predictions."),
    ] = None,
    mistakes: Annotated[
        str | None,
        typer.Option("--mistakes", metavar="ROWSxCOLS", help="Also draw the ROWSxCOLS most confident mistakes."),
    ] = None,
    corruptions: Annotated[
        bool,
        typer.Option(
            "--corruptions", help="Also measure the accuracy under blur, noise, contrast and JPEG, at five strengths."
        ),
    ] = False,
    averaging: Annotated[
        bool,
        typer.Option(
            "--test-time-averaging",
            help="Also measure the accuracy of outputs averaged over mirrored and shifted copies of each image.",
        ),
    ] = False,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Evaluate a run on a split: accuracy, F1, calibration, scores per class, confusion matrix; with figures."""
    shown = None if predictions is None else parse_grid("--predictions", predictions)
    worst = None if mistakes is None else parse_grid("--mistakes", mistakes)

    from tune.evaluation import evaluate as results
    from tune.evaluation.result import Extras
    from tune.record.folder import locate_run
    from tune.spec import data_root

    path = moved_images(overrides or [], "evaluated")
    extras = Extras(shown, worst, corruptions, averaging)
    found = results.evaluate(locate_run(run, out), split.value, data_root(data_dir), say, extras, path)
    if json:
        print_json(found.scores if found.corruptions is None else {**found.scores, "corruptions": found.corruptions})
    else:
        _show(found)
    if (error := found.unsaved) is not None:
        raise WorkError(f"{error.filename}: {error.strerror}; the results printed above were not saved")


def moved_images(overrides: list[str], done: str) -> str | None:
    """The new location of a run's images, if it is given.

    Args:
        overrides: As on the command line.
        done: What is done to the run, for messages.

    Raises:
        SpecError: Something else is to be changed.
    """
    from tune.spec import Problem, SpecError
    from tune.spec.errors import OVERRIDE
    from tune.spec.reading.overrides import parse_overrides

    values, problems = parse_overrides(overrides)
    message = f"cannot be changed here: a run is {done} as it was trained; only data.path can"
    problems += [Problem(name, message, OVERRIDE) for name in values if name != "data.path"]
    if problems:
        raise SpecError(problems)
    return values.get("data.path")


def _show(found: Evaluation) -> None:
    scores = found.scores
    (_show_classes if "accuracy" in scores else _show_bound)(scores)
    if found.corruptions is not None:
        _show_corruptions(found.corruptions)
    for path in found.files:
        show_line(f"wrote {path}")


def _show_bound(scores: Mapping[str, Any]) -> None:
    terms = ", ".join(f"{name} {number(scores[name])}" for name in ("loss", "reconstruction", "kl"))
    print(f"{scores['split']}, {counted(scores['n'], 'image')}: {terms} (per image)")


def _show_classes(scores: Mapping[str, Any]) -> None:
    low, high = scores["accuracy_interval"]
    print(
        f"{scores['split']}, {counted(scores['n'], 'image')}: accuracy {percent(scores['accuracy'])} "
        f"(95 % interval {percent(low)} to {percent(high)})"
    )
    if (mean := scores.get("test_time_averaging")) is not None:
        low, high = mean["accuracy_interval"]
        print(
            f"with outputs averaged over {len(mean['views'])} views (mirrored, shifted by a pixel):\n"
            f"accuracy {percent(mean['accuracy'])} (95 % interval {percent(low)} to {percent(high)})"
        )
    top5 = scores["top5_accuracy"]
    print(f"loss {number(scores['loss'])}" + ("" if top5 is None else f", top-5 accuracy {percent(top5)}"))
    print(_calibration(scores["calibration"]))
    _show_table(scores)
    if pairs := scores["most_confused"]:
        mistakes = scores["n"] - round(scores["n"] * scores["accuracy"])
        print(f"Most confused (of {counted(mistakes, 'mistake')}):")
        for pair in pairs[:MOST_PAIRS]:
            share = f"{pair['n']:,}, {percent(pair['share'])} of its images"
            show_line(f"  {pair['truth']} predicted as {pair['predicted']}: {share}")
        print()


def _calibration(found: Mapping[str, Any]) -> str:
    before, after = (found[key] and percent(found[key]["expected_calibration_error"]) for key in ("before", "after"))
    text = f"expected calibration error {before}"
    if after is not None:
        fitted = f"fitted on {counted(found['fitted_on'], 'validation image')}"
        text += f"\n({after} at temperature {found['temperature']:.3g}, {fitted})"
    return text


def _show_table(scores: Mapping[str, Any]) -> None:
    """A row per class, or of many those with the lowest F1; then the averages."""
    rows = scores["per_class"]
    present = [row for row in rows if row["n"]]
    if len(rows) > MOST_ROWS:
        print(f"The {WORST_ROWS} classes with the lowest F1 of {len(rows):,}; evaluation.json has all:")
        rows = sorted(present, key=lambda row: row["f1"])[:WORST_ROWS]
    over = "" if len(present) == len(scores["per_class"]) else f" ({len(present):,} of {len(scores['per_class']):,})"
    print_table(
        {"class": "left", "n": "right", **dict.fromkeys(MEASURES, "right")},
        [
            *(
                (row["name"], count(row["n"]), *(percent(row[key] if row["n"] else None) for key in MEASURES))
                for row in rows
            ),
            *(_average(scores, name, over) for name in ("macro", "weighted")),
        ],
    )


def _average(scores: Mapping[str, Any], name: str, over: str) -> tuple[str, ...]:
    """A row of averages over the classes with images; a class's accuracy is its recall."""
    measures = ("recall", *MEASURES[1:])
    return f"{name} average{over}", count(scores["n"]), *(percent(scores[f"{name}_{key}"]) for key in measures)


def _show_corruptions(found: Mapping[str, Any]) -> None:
    strengths: dict[str, list[str]] = {}
    for row in found["corruptions"]:
        strengths.setdefault(row["corruption"], []).append(percent(row["accuracy"]))
    print(f"Accuracy on corrupted images, by strength (mean {percent(found['mean_accuracy'])}):")
    columns = [str(strength) for strength in range(1, max(map(len, strengths.values())) + 1)]
    print_table(
        {"corruption": "left", **dict.fromkeys(columns, "right")},
        ((name, *values) for name, values in strengths.items()),
    )
