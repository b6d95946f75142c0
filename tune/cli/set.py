"""`imagetune set`."""

from __future__ import annotations

from typing import Annotated

import typer

from tune.cli.asked import ask
from tune.cli.options import DEFAULT_OUT, Json, Out, Search, Study

EXAMPLES = (
    "imagetune set digits search.concurrent=4",
    "imagetune set digits search.trials=40 search.time_budget=3600",
    "imagetune set digits search.stop.plateau=20",
)


def set(
    search: Search,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD=VALUE",
            help="search.trials, search.concurrent, search.time_budget, search.keep_for_retraining, or search.stop.",
        ),
    ] = None,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Change settings of a search, running or not; they stay changed when it is resumed.

    Where search.concurrent is lowered, surplus workers end with their trials. With null, as in
    search.time_budget=null, a limit is removed.
    """
    from tune.search.control import asking

    ask(lambda found: asking.set_(found, values or ()), search, out, study, json)
