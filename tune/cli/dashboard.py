"""`imagetune dashboard`."""

from __future__ import annotations

from typing import Annotated

import typer

from tune.cli.options import DEFAULT_OUT, Json, Out, Search, Study
from tune.cli.output import print_json, say

EXAMPLES = ("imagetune dashboard digits", "imagetune dashboard digits --port 9000")


def dashboard(
    search: Search,
    port: Annotated[
        int, typer.Option("--port", metavar="P", min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")
    ] = 8080,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Show a search in optuna-dashboard, also while it runs; it is read-only. Ctrl-C ends it."""
    from tune.record import locate_search
    from tune.report.dashboard import serving

    folder = locate_search(search, out, study)
    with serving(folder, port) as (server, address):
        if json:
            print_json({"search": folder.name, "url": address})
        else:
            print(address, flush=True)
        say(f"{folder.name} is shown at this address; press Ctrl-C to stop")
        server.serve_forever()
