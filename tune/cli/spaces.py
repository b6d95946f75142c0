"""`imagetune spaces`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tune.cli.options import Json, complete_file
from tune.cli.output import print_json, print_table

EXAMPLES = ("imagetune spaces", "imagetune spaces digits", "imagetune spaces --json")


def spaces(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print this file.", autocompletion=complete_file)
    ] = None,
    json: Json = False,
) -> None:
    """List the search spaces and experiments that come with imagetune, or print one of them."""
    from search_spaces import shipped

    if name is not None:
        _print(name, json)
        return
    rows = [_row(name, path) for name, path in shipped().items()]
    if json:
        print_json({"spaces": rows})
        return
    columns = {"name": "left", "kind": "left", "free": "right", "": "left"}
    print_table(columns, ((row["name"], row["kind"], str(row["free"]), row["summary"]) for row in rows))


def _print(name: str, json: bool) -> None:
    from tune.spec.files import find

    path = find(name)
    if json:
        print_json({**_row(path.stem, path), "text": path.read_text(encoding="utf-8")})
    else:
        print(path.read_text(encoding="utf-8"), end="")


def _row(name: str, path: Path) -> dict[str, Any]:
    """A shipped file with its summary (the first comment line) and its searched fields."""
    from tune.spec.files import read_tree

    first, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    fields = list(read_tree(path).get("space") or {})
    return {
        "name": name,
        "summary": first.removeprefix("#").strip() if first.startswith("#") else "",
        "kind": "search" if fields else "experiment",
        "free": len(fields),
        "fields": fields,
    }
