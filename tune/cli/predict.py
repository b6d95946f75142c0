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
        list[Path] | None, typer.Argument(metavar="IMAGE", help="Image files; they are resized for the model.")
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Show the K most probable classes.")] = 5,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="ROWSxCOLS", help="VAE only: generate ROWSxCOLS samples.")
    ] = None,
    interpolate: Annotated[
        int | None,
        typer.Option("--interpolate", metavar="N", min=2, max=100, help="VAE only: N steps from one image to another."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of --sample.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="The picture to write, a PNG. Default: in RUN/figures."),
    ] = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Classify image files with a run's model; with a VAE: reconstruct, sample or interpolate images."""
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
    """Refuse options and numbers of images that do not go together.

    Raises:
        UserError: Says what does.
    """
    if sample and interpolate is not None:
        raise UserError("--sample and --interpolate exclude each other; use one of them")
    if sample and paths:
        raise UserError(f"--sample takes no images (got {len(paths)}); leave them out")
    if interpolate is not None and len(paths) != 2:
        raise UserError(f"--interpolate takes two images (got {len(paths)}); give the first and the last")
    if not sample and not paths:
        raise UserError("no images given; name image files, or use --sample ROWSxCOLS with a VAE")


def _check_output(output: Path | None) -> None:
    if output is not None and (output.suffix.lower() != ".png" or output.is_dir()):
        raise UserError(f"--output {output}: the picture is a PNG; use a file name that ends in .png")


def _classes(folder: RunFolder, paths: list[Path], top: int, output: Path | None, json: bool) -> None:
    from tune.evaluation import prediction

    if output is not None:
        raise UserError(f"--output {output} is for pictures, and classification makes none; use --json > FILE")
    rows = prediction.classify(folder, paths, top)
    if json:
        print_json({"predictions": rows})
        return
    lines = (
        (row["image"], ", ".join(f"{one['class']} {percent(one['probability'])}" for one in row["top"])) for row in rows
    )
    print_table({"image": "left", "most probable classes": "left"}, lines)


def _finish(rows: list[dict[str, Any]], picture: Picture, output: Path | None, json: bool) -> None:
    """Write the picture and say where it is."""
    from tune.files import write_whole

    path = output or picture.path
    write_whole(path, picture.content)
    if json:
        print_json({"predictions": rows, "picture": str(path)})
        return
    if rows:
        names = [name for name in rows[0] if name != "image"]
        lines = ((row["image"], *(number(row[name]) for name in names)) for row in rows)
        print_table({"image": "left", **dict.fromkeys(names, "right")}, lines)
    print(f"wrote {path}")
