"""`imagetune report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tune.cli.options import DEFAULT_OUT, Json, Out, Search, Study, local_path
from tune.cli.output import print_json, show_line

EXAMPLES = ("imagetune report digits", "imagetune report digits --output digits.html")


def report(
    search: Search,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            parser=local_path,
            metavar="FILE",
            help="The file to write. Default: report.html in the search's folder.",
        ),
    ] = None,
    study: Study = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Write the whole search as one HTML file that opens without a network."""
    from tune.files import write_whole
    from tune.record import locate_search
    from tune.record.opening import read_search
    from tune.report.page import render

    found = read_search(locate_search(search, out, study))
    path = output or found.folder.path / "report.html"
    content = render(found).encode(errors="backslashreplace")
    write_whole(path, content)
    if json:
        print_json({"report": str(path), "bytes": len(content), "trials": len(found.trials)})
    else:
        show_line(f"wrote {path} ({len(content) / 1e6:.1f} MB)")
