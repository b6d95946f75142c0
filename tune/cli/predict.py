"""`imagetune predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune.cli.options import DEFAULT_OUT, Json, Out, Run, parse_grid
from tune.cli.output import number, percent, print_json, print_table
from tune.errors import UserError

if TYPE_CHECKING:
    from tune.evaluation.prediction import Picture
    from tune.record import RunFolder

EXAMPLES = (
    "imagetune predict first photo.png other.jpg --top 3",
    "imagetune predict vae_digits --sample 8x8 --seed 1",
    "imagetune predict vae_digits a.png b.png --interpolate 8 --output way.png",
    "imagetune predict vae_digits a.png b.png",
)


def predict(
    run: Run,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE", help="Image files; resized to what the model takes.")
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="The K most probable classes.")] = 5,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="ROWSxCOLS", help="Of a VAE: so many decoded draws of N(0, I).")
    ] = None,
    interpolate: Annotated[
        int | None,
        typer.Option("--interpolate", metavar="N", min=2, max=100, help="Of a VAE: N images from one to another."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws of --sample.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The picture, a PNG. Default: in RUN/figures.")
    ] = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Use a run's model: the classes of image files; of a VAE, pictures of reconstructions, draws, ways between two."""
    paths = images or []
    grid = None if sample is None else parse_grid("--sample", sample)
    _check_counts(paths, grid is not None, interpolate)
    _check_output(output)

    from tune.evaluation import prediction
    from tune.record.folder import locate_run

    folder = locate_run(run, out)
    if grid is not None:
        _finish([], prediction.sample(folder, grid, seed), output, json)
    elif interpolate is not None:
        _finish([], prediction.interpolate(folder, paths, interpolate), output, json)
    elif prediction.task_of_run(folder) == "reconstruction":
        _finish(*prediction.reconstruct(folder, paths), output, json)
    else:
        _classes(folder, paths, top, output, json)


def _check_counts(paths: list[Path], sample: bool, interpolate: int | None) -> None:
    """Refuse what does not go together.

    Raises:
        UserError: says what does.
    """
    if sample and interpolate is not None:
        raise UserError("--sample and --interpolate make two pictures; legal: one of them")
    if sample and paths:
        raise UserError(f"--sample draws at random, and {len(paths)} images are given; legal: none")
    if interpolate is not None and len(paths) != 2:
        raise UserError(f"--interpolate goes from one image to another, and {len(paths)} are given; legal: two")
    if not sample and not paths:
        raise UserError("no image is given; legal: IMAGE..., or of a VAE --sample ROWSxCOLS")


def _check_output(output: Path | None) -> None:
    if output is not None and (output.suffix.lower() != ".png" or output.is_dir()):
        raise UserError(f"--output {output}: the picture is a PNG; legal: the name of a file that ends in .png")


def _classes(folder: RunFolder, paths: list[Path], top: int, output: Path | None, json: bool) -> None:
    from tune.evaluation import prediction

    if output is not None:
        raise UserError(f"--output {output}: the classes of images are no picture; legal: --json > FILE")
    rows = prediction.classify(folder, paths, top)
    if json:
        print_json({"predictions": rows})
        return
    told = (
        (row["image"], ", ".join(f"{one['class']} {percent(one['probability'])}" for one in row["top"])) for row in rows
    )
    print_table({"image": "left", "most probable classes": "left"}, told)


def _finish(rows: list[dict[str, Any]], picture: Picture, output: Path | None, json: bool) -> None:
    """Write the picture, then tell of it."""
    from tune.record.folder import write_whole

    path = output or picture.path
    write_whole(path, picture.content)
    if json:
        print_json({"predictions": rows, "picture": str(path)})
        return
    if rows:
        names = [name for name in rows[0] if name != "image"]
        told = ((row["image"], *(number(row[name]) for name in names)) for row in rows)
        print_table({"image": "left", **dict.fromkeys(names, "right")}, told)
    print(f"wrote {path}")
