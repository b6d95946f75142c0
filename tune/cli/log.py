"""`imagetune log`."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from data.words import counted
from tune.cli.options import DEFAULT_OUT, Json, Out, Search, Study, local_path
from tune.cli.output import print_json, say, show_line

EXAMPLES = (
    "imagetune log digits --to tensorboard",
    "imagetune log digits --to mlflow --output mlflow",
)


class Tool(StrEnum):
    """The tools that a search can be written for."""

    tensorboard = "tensorboard"
    mlflow = "mlflow"


SHOW = {"tensorboard": "tensorboard --logdir", "mlflow": "mlflow ui --backend-store-uri"}


def log(
    search: Search,
    to: Annotated[Tool, typer.Option("--to", help="The tool to write for.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            parser=local_path,
            metavar="DIR",
            help="Where to write. Default: the search's folder; for MLflow, $MLFLOW_TRACKING_URI if it is set.",
        ),
    ] = None,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Write the trials of a search for TensorBoard or MLflow; trials that are there already are skipped."""
    from rich.console import Console
    from rich.progress import track

    from tune.record import locate_search
    from tune.record.opening import read_search
    from tune.search.loggers import find_logger, worth_writing

    folder = locate_search(search, out, study)
    entry = find_logger(to.value, "--to", output or folder.path)
    found = read_search(folder)
    trials = [trial for trial in found.trials if worth_writing(trial)]
    logger = entry.make(found.folder, found.objective, output)
    for trial in track(trials, "writing trials", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        logger.write(trial)
    logger.close()
    if json:
        print_json({"search": found.folder.name, "to": to.value, "place": logger.place, "trials": len(trials)})
    else:
        show_line(f"wrote {counted(len(trials), 'trial')} to {logger.place}")
        say(f"view it with: {SHOW[to.value]} {shlex.quote(logger.place)}")
