"""`imagetune retrain`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.words import counted
from tune.cli.options import DEFAULT_OUT, MOST, DataDir, Json, Out, Overrides, Search, Study
from tune.cli.output import measured, print_json, print_table, show_line
from tune.cli.train import run_row
from tune.errors import UserError, WorkError

if TYPE_CHECKING:
    from tune.runs.retrain import Winner

EXAMPLES = (
    "imagetune retrain digits",
    "imagetune retrain digits --top 3 --seeds 5",
    "imagetune retrain digits --trial 7 --full --seeds 1",
    "imagetune retrain digits --seeds 1 training.epochs=30",
)


def retrain(
    search: Search,
    overrides: Overrides = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="K", min=1, max=MOST, help="Retrain the best K trials. Default: 1.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option("--trial", metavar="N", min=0, help="Retrain this trial instead of the best ones.")
    ] = None,
    front: Annotated[
        bool,
        typer.Option("--front", help="Retrain every trial of the Pareto front of a search with several objectives."),
    ] = False,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", metavar="N", min=1, max=1_000, help="Runs per trial, with the experiment's seed, seed + 1, ..."
        ),
    ] = 3,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Train on train + validation, for training.epochs=N or else the trial's best number of epochs.",
        ),
    ] = False,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Train the best trials of a search again, on several seeds; finished runs are not repeated."""
    given = {"--top": top is not None, "--trial": trial is not None, "--front": front}
    if len(names := [name for name, used in given.items() if used]) > 1:
        raise UserError(f"{' and '.join(names)} cannot be combined; use one of them")

    from tune.cli.screen import Screen
    from tune.record import locate_search
    from tune.record.opening import read_search
    from tune.runs import retrain as winners
    from tune.runs.run import Interrupted
    from tune.spec import SpecError, data_root, split_problems
    from tune.spec.reading.overrides import parse_overrides
    from tune.training import prepare_process

    prepare_process()
    found = read_search(locate_search(search, out, study))
    changes, problems = parse_overrides(overrides or [])
    if problems := [*problems, *split_problems(changes)]:
        raise SpecError(problems)
    trials = winners.chosen(found, top or 1, trial, front=front)
    try:
        trained = winners.retrain(found, trials, seeds, data_root(data_dir), Screen(), full=full, changes=changes)
    except Interrupted:
        raise KeyboardInterrupt(f"continue with: {shlex.join(['imagetune', *sys.argv[1:]])}") from None
    _report(trained, json)


def _report(trained: list[Winner], json: bool) -> None:
    """Print each trial's metrics over its seeds.

    Raises:
        WorkError: Every run diverged.
    """
    if json:
        print_json({"trials": [_row(winner) for winner in trained]})
    else:
        for winner in trained:
            _show(winner)
    if not any(winner.sound for winner in trained):
        raise WorkError("every run diverged: the loss is not finite; try a lower learning rate")


def _row(winner: Winner) -> dict[str, Any]:
    return {"trial": winner.trial, **winner.spread(), "runs": [run_row(result) for result in winner.runs]}


def _show(winner: Winner) -> None:
    diverged = len(winner.runs) - len(winner.sound)
    left_out = f", {diverged} diverged" if diverged else ""
    print(f"trial {winner.trial}: {counted(len(winner.runs), 'run')}{left_out}")
    rows = []
    for name, figures in winner.spread().items():
        rows.append((name, *(measured(name, figures[key]) for key in ("mean", "std", "min", "max"))))
    if rows:
        print_table({"best epoch": "left", "mean": "right", "std": "right", "min": "right", "max": "right"}, rows)
    for result in winner.runs:
        show_line(f"  {result.folder.path}")
