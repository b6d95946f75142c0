"""`imagetune set`."""

from __future__ import annotations

from typing import Annotated

import typer

from tune.cli.options import DEFAULT_OUT, Json, Out, Search, Study
from tune.cli.output import print_json

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
            metavar="FIELD=VALUE", help="search.trials, search.concurrent, search.time_budget, or search.stop."
        ),
    ] = None,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Change settings of a search, running or not; they stay changed when it is resumed.

    With fewer workers than now, the extra ones end with their trials. With null, as in search.time_budget=null, a
    limit is removed.
    """
    from tune.record import locate_search
    from tune.record.opening import read_search
    from tune.search.control import asking

    found = read_search(locate_search(search, out, study))
    asked = asking.leave(found, asking.set_(found, values or ()))
    if json:
        print_json(asking.document(found, asked))
    else:
        print(asking.told(found, asked))
