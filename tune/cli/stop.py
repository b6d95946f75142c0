"""`imagetune stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from tune.cli.asked import ask
from tune.cli.options import DEFAULT_OUT, Json, Out, Search, Study

EXAMPLES = ("imagetune stop digits", "imagetune stop digits --trial 7")


def stop(
    search: Search,
    trial: Annotated[
        int | None, typer.Option("--trial", metavar="N", min=0, help="Stop only this trial; the others continue.")
    ] = None,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Stop a search that runs in another terminal or on another machine, or one of its trials.

    The search ends within seconds with everything saved, and `search SEARCH --resume` continues it. A trial that is
    stopped keeps its epochs and its best weights, and is not continued. If the search is not running, the request waits
    until it is resumed: a request to stop the search ends that resume at once, and the next one continues.
    """
    from tune.search.control import asking

    ask(lambda found: asking.stop(found, trial), search, out, study, json)
