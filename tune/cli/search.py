"""`imagetune search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tune.cli.options import DEFAULT_OUT, MOST, DataDir, Json, Out, Overrides, Study, complete_space
from tune.cli.output import print_json, say
from tune.cli.streams import stdout_for_results

if TYPE_CHECKING:
    from tune.search.shutdown import Outcome

EXAMPLES = (
    "imagetune search digits",
    "imagetune search cifar10_classifier --name first training.epochs=20 search.trials=30",
    "imagetune search first --resume",
    "imagetune search first --extend 20",
    "imagetune search cifar10_classifier_wide --warm-start first",
)


def search(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE",
            help="The name of a shipped space or a YAML file; with --resume or --extend, also a search.",
            autocompletion=complete_space,
        ),
    ],
    overrides: Overrides = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the search and its folder. Default: the space's name."),
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", metavar="N", help="Total number of trials.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted search.")] = False,
    extend: Annotated[int | None, typer.Option("--extend", metavar="N", min=1, max=MOST, help="Add N trials.")] = None,
    warm_start: Annotated[
        str | None, typer.Option("--warm-start", metavar="SEARCH", help="Let the sampler learn from another search.")
    ] = None,
    time_budget: Annotated[
        float | None, typer.Option("--time-budget", metavar="SECONDS", help="Stop cleanly after SECONDS.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="A",
            help="The address of a Ray cluster. Default: $RAY_ADDRESS, else Ray on this machine.",
        ),
    ] = None,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Search a space with Ray Tune and Optuna; if it is interrupted or killed, --resume continues it."""
    from tune.record.search_status import search_status
    from tune.search.display import watching
    from tune.search.request import Request
    from tune.search.runner import run_search
    from tune.spec import data_root

    request = Request(
        subject=space,
        out=out,
        root=data_root(data_dir),
        overrides=tuple(overrides or ()),
        name=name,
        trials=trials,
        resume=resume,
        extend=extend,
        warm_start=warm_start,
        time_budget=time_budget,
        address=address,
        study=study,
    )
    with watching() as observer, stdout_for_results():
        outcome = run_search(request, observer)
        if json:
            print_json(search_status(outcome.folder).to_dict())
    if not json:
        from tune.cli.results import show
        from tune.cli.status import spent

        show(outcome.folder, top=5)
        if line := spent(search_status(outcome.folder)):
            print(f"\n{line}")
    _say_end(outcome)
    raise typer.Exit(outcome.exit_code)


def _say_end(outcome: Outcome) -> None:
    """How the search ended, and how to continue it."""
    said = outcome.reason if outcome.reason.startswith(outcome.state) else f"{outcome.state}: {outcome.reason}"
    say(f"{outcome.folder.name}: {said.removesuffix(': ')}")
    left = outcome.counts["waiting"] and outcome.state != "finished" and not outcome.enough
    if left or outcome.state == "interrupted":
        say(f"resume it with: imagetune search {outcome.folder.argument} --resume")
