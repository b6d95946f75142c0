"""`imagetune train`."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune.cli.options import DEFAULT_OUT, DataDir, Experiment, Json, Out, Overrides
from tune.cli.output import measured, print_json, show_line
from tune.errors import UserError, WorkError

if TYPE_CHECKING:
    from tune.record import RunFolder
    from tune.runs.plan import RunPlan
    from tune.runs.run import RunResult

_FIELDS = (
    "model.cnn_layers=3 model.starting_channels=12 model.final_channels=48 model.activation=mish "
    "training.optimizer.lr=0.003"
)
EXAMPLES = (
    f"imagetune train digits {_FIELDS} --name first",
    f"imagetune train digits {_FIELDS} training.epochs=3 --name second --weights first",
    "imagetune train first --resume",
    "imagetune train first --resume training.epochs=20",
)


def train(
    experiment: Experiment,
    overrides: Overrides = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the run and its folder. Default: the experiment's name."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run, also for more epochs; EXPERIMENT may be the RUN.")
    ] = False,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="RUN", help="Start from the best weights of another run.")
    ] = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Train one experiment into a run folder: the best weights, the metrics of every epoch, and a log."""
    from tune.cli.screen import Screen
    from tune.runs.curves import write_curves
    from tune.runs.run import Interrupted, run
    from tune.spec import data_root
    from tune.training import prepare_process

    prepare_process()
    plan = _plan(experiment, overrides or [], name, resume, weights, out, data_dir)
    screen = Screen()
    try:
        result = run(plan, data_root(data_dir), screen, resume=resume)
        write_curves(plan.folder, screen.say)
    except Interrupted:
        raise KeyboardInterrupt(f"continue with: {_resume_command(plan, out, data_dir)}") from None
    _finish(result, json)


def _plan(
    argument: str,
    overrides: list[str],
    name: str | None,
    resume: bool,
    weights: str | None,
    out: Path,
    data_dir: Path | None,
) -> RunPlan:
    """What to train, validated.

    Raises:
        UserError: Everything that is wrong with it.
    """
    from tune.record.folder import RunFolder, check_new_name, locate_run
    from tune.runs.plan import RunPlan
    from tune.spec import data_root, load_experiment
    from tune.spec.files import find

    if resume and weights is not None:
        raise UserError("--resume and --weights cannot be combined; --resume continues with the run's own weights")
    if resume:
        folder, argument = _existing(argument, name, out)
    else:
        name = find(argument).stem if name is None else name
        check_new_name(name)
        folder = RunFolder(out / name)
    return RunPlan(
        load_experiment(argument, overrides, data_root(data_dir)),
        folder,
        weights=None if weights is None else locate_run(weights, out),
    )


def _existing(argument: str, name: str | None, out: Path) -> tuple[RunFolder, str]:
    """The run to continue, and its experiment; the argument is the run itself, or the experiment.

    Raises:
        UserError: There is no such run.
    """
    from tune.record.folder import RunFolder, candidates, locate_run
    from tune.spec import SpecError
    from tune.spec.files import find

    for path in candidates(argument, out):
        if (folder := RunFolder(path)).exists:
            return folder if name is None else locate_run(name, out), str(folder.experiment)
    if name is not None:
        return locate_run(name, out), argument
    try:
        name = find(argument).stem
    except SpecError:
        name = argument
    return locate_run(name, out), argument


def _resume_command(plan: RunPlan, out: Path, data_dir: Path | None) -> str:
    below_out = plan.folder.path == out / plan.folder.name
    words = ["imagetune", "train", plan.folder.name if below_out else str(plan.folder.path), "--resume"]
    words += ["--out", str(out)] if below_out and out != DEFAULT_OUT else []
    words += [] if data_dir is None else ["--data-dir", str(data_dir)]
    return shlex.join(words)


def _finish(result: RunResult, json: bool) -> None:
    """Print the result.

    Raises:
        WorkError: The training diverged.
    """
    from tune.training import End

    if json:
        print_json(run_row(result))
    else:
        _show(result)
    if result.end is End.DIVERGED:
        epoch = result.history[-1].epoch
        raise WorkError(
            f"{result.folder.path}: diverged in epoch {epoch}: the loss is not finite; try a lower learning rate"
        )


def run_row(result: RunResult) -> dict[str, Any]:
    """A run as a row of JSON: its folder, why it ended, and the metrics of its best epoch."""
    best = result.best
    return {
        "name": result.folder.name,
        "folder": str(result.folder.path),
        "end": str(result.end),
        "epochs": len(result.history),
        "best_epoch": best and best.epoch,
        **(best.values if best else {}),
        "seconds": sum(epoch.seconds for epoch in result.history),
        "parameters": result.parameters,
    }


def _show(result: RunResult) -> None:
    if not result.trained:
        show_line(f"{result.folder.path}: already finished, nothing to do")
    from tune.training import End

    if (best := result.best) is not None:
        parts = [f"{key} {measured(key, value)}" for key, value in best.values.items()]
        early = ", stopped early" if result.end is End.EARLY_STOPPING else ""
        text = f"best epoch {best.epoch} of {len(result.history)}{early}: {', '.join(parts)}"
        print(textwrap.fill(text, 80, subsequent_indent="  ", break_long_words=False))
