"""Options and arguments that several commands share."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from data.words import quoted
from tune.buckets.parsing import folder_of, is_url
from tune.errors import UserError

DEFAULT_OUT = Path("checkpoints")
MOST = 10**6  # of anything that an option counts


def place(text: str | Path) -> Path:
    """A folder on this machine, or the mirror of one in S3."""
    try:
        return folder_of(str(text)).expanduser()
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


def local_path(text: str | Path) -> Path:
    """A path on this machine."""
    if is_url(str(text)):
        raise typer.BadParameter(f"cannot be a URL ({text}); use a path on this machine")
    return Path(text).expanduser()


def complete_file(incomplete: str) -> list[str]:
    """For the shell: shipped names, and YAML files."""
    from search_spaces import shipped

    return [*(name for name in shipped() if name.startswith(incomplete)), *_paths(incomplete, ("*.yaml", "*.yml"))]


def complete_search(context: typer.Context, incomplete: str) -> list[str]:
    """For the shell: searches below --out."""
    return _folders_with("search.yaml", context, incomplete)


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """For the shell: runs below --out, winners included."""
    return _folders_with("experiment.yaml", context, incomplete)


def complete_experiment(context: typer.Context, incomplete: str) -> list[str]:
    """For the shell: experiments to train, and with --resume the runs."""
    return complete_run(context, incomplete) if context.params.get("resume") else complete_file(incomplete)


def complete_space(context: typer.Context, incomplete: str) -> list[str]:
    """For the shell: spaces to search, and with --resume or --extend the searches."""
    continues = context.params.get("resume") or context.params.get("extend")
    return complete_search(context, incomplete) if continues else complete_file(incomplete)


def _folders_with(file: str, context: typer.Context, incomplete: str) -> list[str]:
    out = Path(context.params.get("out") or DEFAULT_OUT)
    found = [path.parent.relative_to(out) for level in ("*", "*/winners/*") for path in out.glob(f"{level}/{file}")]
    return sorted(name for name in map(str, found) if name.startswith(incomplete)) or _paths(incomplete, ())


def _paths(incomplete: str, files: tuple[str, ...]) -> list[str]:
    """Folders, with a slash, and files of these patterns, that a path may go on with."""
    folder, start = os.path.split(incomplete)
    found = [
        path for path in Path(folder).glob(f"{glob.escape(start)}*") if path.is_dir() or any(map(path.match, files))
    ]
    return sorted(
        f"{path}/" if path.is_dir() else str(path) for path in found if start or not path.name.startswith(".")
    )


Experiment = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT",
        help="The name of a shipped experiment (see `imagetune spaces`) or a YAML file.",
        autocompletion=complete_experiment,
    ),
]
Search = Annotated[
    str,
    typer.Argument(
        metavar="SEARCH", help="The name of a search below --out, or its folder.", autocompletion=complete_search
    ),
]
Study = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="URL",
        help="Keep the record in this database, such as postgresql://user@host/name; the password is read from "
        "$PGPASSWORD or $IMAGETUNE_STUDY_PASSWORD. Default: a file in the search's folder.",
    ),
]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="The name of a run below --out, or its folder.", autocompletion=complete_run),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="FIELD=VALUE", help="Override fields, for example training.optimizer.lr=0.01."),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out", metavar="DIR", parser=place, help="The folder for searches and runs; also s3://BUCKET/FOLDER."
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=local_path,
        help="The folder with the data sets, laid out as torchvision's root. Default: $IMAGETUNE_DATA, else the "
        "user's cache folder.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        help="The URL of a Ray cluster's dashboard, such as http://10.0.0.5:8265. Default: $RAY_API_SERVER_ADDRESS.",
    ),
]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job, as `imagetune jobs` lists it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


def parse_grid(option: str, text: str) -> tuple[int, int]:
    """Rows and columns of a picture: `4x8` is (4, 8).

    Raises:
        UserError: the text does not have this form.
    """
    if not (match := re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", text, re.ASCII)):
        raise UserError(f"{option} must be ROWSxCOLS, such as 4x8 (got {quoted(text)})")
    return int(match[1]), int(match[2])
