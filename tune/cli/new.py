"""`imagetune new`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tune.cli.options import Json, local_path
from tune.cli.output import print_json, say, show_line
from tune.errors import UserError

EXAMPLES = (
    "imagetune new flowers.yaml --images /path/to/images",
    "imagetune new small.yaml --images /path/to/images --like digits",
)


def new(
    file: Annotated[Path, typer.Argument(parser=local_path, metavar="FILE", help="The YAML file to write.")],
    images: Annotated[
        Path, typer.Option("--images", metavar="DIR", help="Your images: a folder with one subfolder per class.")
    ],
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="SPACE", help="Search the fields of this space. Default: a classifier's."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a commented YAML file with a search for your own images, and a budget that suits this machine."""
    _check_target(file)

    from tune.files import write_whole
    from tune.search.own_images.starter import starter

    found = starter(images, like, str(file))
    _check_target(file)  # again: measuring takes seconds
    for note in found.images.notes:
        say(note)
    write_whole(file, found.text.encode())
    if json:
        print_json({
            "file": str(file),
            "classes": len(found.images.classes),
            "train_size": found.images.train_size,
            "test_size": found.images.test_size,
            "image_size": found.image_size,
            "trials": found.trials,
            "epochs": found.epochs,
            "epoch_seconds": found.epoch_seconds,
            "seconds": found.seconds,
        })  # fmt: skip
    else:
        for line in (*found.summary, f"wrote {file}"):
            show_line(line)


def _check_target(file: Path) -> None:
    """Refuse a file that exists, or that `search` would not recognize as a YAML file.

    Raises:
        UserError: Says what to do.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise UserError(f"{file} must end in .yaml, so that commands recognize it as a file; use {file.name}.yaml")
    if file.exists() or file.is_symlink():
        raise UserError(f"{file} already exists; use another name, or delete it first")
    if not file.parent.is_dir():
        raise UserError(f"{file.parent} is not a folder; create it first")
