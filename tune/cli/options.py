"""Options and arguments that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from tune.errors import UserError

DEFAULT_OUT = Path("checkpoints")


def _folder(text: str | Path) -> Path:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(text)):
        raise typer.BadParameter(f"cannot write to a URL ({text}); use a local folder")
    return Path(text).expanduser()


Experiment = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT", help="The name of a shipped experiment (see `imagetune spaces`) or a YAML file."
    ),
]
Search = Annotated[str, typer.Argument(metavar="SEARCH", help="The name of a search below --out, or its folder.")]
Study = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="URL",
        help="Keep the record in this database, such as postgresql://user@host/name; the password is read from "
        "$PGPASSWORD or $IMAGETUNE_STUDY_PASSWORD. Default: a file in the search's folder.",
    ),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The name of a run below --out, or its folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="FIELD=VALUE", help="Override fields, for example training.optimizer.lr=0.01."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", parser=_folder, help="The folder for searches and runs.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=_folder,
        help="The folder with the data sets, laid out as torchvision's root. Default: $IMAGETUNE_DATA, else the "
        "user's cache folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


def parse_grid(option: str, text: str) -> tuple[int, int]:
    """Rows and columns of a picture: `4x8` is (4, 8).

    Raises:
        UserError: the text does not have this form.
    """
    if not (match := re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", text, re.ASCII)):
        raise UserError(f"{option} must be ROWSxCOLS, such as 4x8 (got {text!r})")
    return int(match[1]), int(match[2])
