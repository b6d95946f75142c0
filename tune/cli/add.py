"""`imagetune add`."""

from __future__ import annotations

from typing import Annotated

import typer

from tune.cli.asked import ask
from tune.cli.options import DEFAULT_OUT, DataDir, Json, Out, Search, Study

EXAMPLES = (
    "imagetune add digits training.optimizer.lr=0.003",
    "imagetune add digits training.optimizer.lr=0.01 --json",
)


def add(
    search: Search,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Values of searched fields.")
    ] = None,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Add a trial with a configuration of your own to a search, running or not.

    Searched fields that are not given are drawn at random. The trial comes on top of search.trials. It starts as
    soon as a worker is free, or when the search is resumed.
    """
    from tune.search.control import asking
    from tune.spec import data_root

    ask(lambda found: asking.add(found, values or (), data_root(data_dir)), search, out, study, json)
