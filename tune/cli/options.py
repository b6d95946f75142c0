"""The options and arguments that several commands share, each described once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from tune.errors import UserError

DEFAULT_OUT = Path("checkpoints")


def _folder(text: str | Path) -> Path:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(text)):
        raise typer.BadParameter(f"{text} is a URL, which this version cannot write to; legal: a folder")
    return Path(text).expanduser()


Experiment = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="A shipped name (`imagetune spaces`) or a YAML file.")
]
Search = Annotated[str, typer.Argument(metavar="SEARCH", help="The folder of a search, or its name below --out.")]
Study = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="URL",
        help="The database that holds the record, such as postgresql://user@host/name; its password in $PGPASSWORD "
        "or $IMAGETUNE_STUDY_PASSWORD. Default: a file in the search's folder.",
    ),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run, or its name below --out.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="FIELD=VALUE", help="Fields to set, such as training.optimizer.lr=0.01."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", parser=_folder, help="Where searches and runs are written.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=_folder,
        help="Where the data sets lie, as torchvision's root. Default: $IMAGETUNE_DATA, else the user's cache folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]


def parse_grid(option: str, text: str) -> tuple[int, int]:
    """`4x8` as (4, 8), rows and columns of a picture of images.

    Raises:
        UserError: it is not of that form.
    """
    if not (match := re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", text, re.ASCII)):
        raise UserError(f"{option}: {text!r} is no grid; legal: ROWSxCOLS, such as 4x8")
    return int(match[1]), int(match[2])
