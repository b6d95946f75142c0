"""`imagetune predict`."""

from __future__ import annotations

from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune.cli.options import DEFAULT_OUT, MOST, Json, Out, local_path, parse_grid
from tune.cli.output import number, percent, print_json, print_table, say, show_line, wrapped
from tune.errors import UserError

if TYPE_CHECKING:
    from tune.evaluation.prediction import Picture

EXAMPLES = (
    "imagetune predict first photo.png other.jpg --top 3",
    "imagetune predict first photos --csv predictions.csv",
    "imagetune predict checkpoints/first/export/model.onnx photo.png",
    "imagetune predict vae_digits --sample 8x8 --seed 1",
    "imagetune predict vae_digits a.png b.png --interpolate 8 --output way.png",
    "imagetune predict vae_digits a.png b.png",
)


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The name of a run below --out, its folder, or a file that imagetune export wrote."
        ),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE", help="Image files, or folders with images; they are resized for the model."),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", metavar="K", min=1, max=MOST, help="Show the K most probable classes.")
    ] = 5,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="ROWSxCOLS", help="VAE only: generate ROWSxCOLS samples.")
    ] = None,
    interpolate: Annotated[
        int | None,
        typer.Option("--interpolate", metavar="N", min=2, max=100, help="VAE only: N steps from one image to another."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed of --sample.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", parser=local_path, metavar="FILE", help="The picture to write, a PNG. Default: in RUN/figures."
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", parser=local_path, metavar="FILE", help="Also write the table as CSV.")
    ] = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Classify image files with a run or an exported model; with a VAE: reconstruct, sample or interpolate images."""
    paths = images or []
    grid = None if sample is None else parse_grid("--sample", sample)
    _check_counts(paths, grid is not None, interpolate)
    _check_files(output, csv, without_rows=grid is not None or interpolate is not None)

    from tune.evaluation import prediction
    from tune.export.exported import is_exported
    from tune.record.folder import locate_run

    exported = is_exported(run)
    if exported and (grid is not None or interpolate is not None):
        raise UserError(f"{run} is an exported classifier; --sample and --interpolate need a run of a VAE")
    if exported:
        _classes(run, out, paths, top, output, csv, json)
        return
    folder = locate_run(run, out)
    if grid is not None:
        _finish([], prediction.sample(folder, grid, seed), output, csv, json)
    elif interpolate is not None:
        _finish([], prediction.interpolate(folder, paths, interpolate), output, csv, json)
    elif prediction.task_of_run(folder) == "reconstruction":
        _finish(*prediction.reconstruct(folder, paths, say), output, csv, json)
    else:
        _classes(run, out, paths, top, output, csv, json)


def _check_counts(paths: list[Path], sample: bool, interpolate: int | None) -> None:
    """Refuse options and numbers of images that do not go together.

    Raises:
        UserError: Says what does.
    """
    if sample and interpolate is not None:
        raise UserError("--sample and --interpolate cannot be combined; use one of them")
    if sample and paths:
        raise UserError(f"--sample takes no images (got {len(paths)}); leave them out")
    if interpolate is not None and len(paths) != 2:
        raise UserError(f"--interpolate takes two images (got {len(paths)}); give the first and the last")
    if not sample and not paths:
        raise UserError("no images given; name image files, or use --sample ROWSxCOLS with a VAE")


def _check_files(picture: Path | None, csv: Path | None, *, without_rows: bool) -> None:
    """Refuse files that cannot be written as they are named.

    Raises:
        UserError: Says what to name.
    """
    if picture is not None and (picture.suffix.lower() != ".png" or picture.is_dir()):
        raise UserError(f"--output {picture}: the picture is a PNG; use a file name that ends in .png")
    if csv is not None and without_rows:
        raise UserError(f"--csv {csv}: --sample and --interpolate write a picture, not a table; use --output FILE")
    if csv is not None and csv.is_dir():
        raise UserError(f"--csv {csv} is a folder; give the name of a file")


def _classes(
    name: str, out: Path, paths: list[Path], top: int, output: Path | None, csv: Path | None, json: bool
) -> None:
    from tune.evaluation import prediction
    from tune.export.exported import open_classifier

    if output is not None:
        raise UserError(f"--output {output} is for pictures, and classification writes none; use --csv FILE")
    found = prediction.classify(open_classifier(name, out), paths, top, say)
    if csv is not None:
        _write_csv(csv, [_ranked(row) for row in found.rows])
    if json:
        print_json({"predictions": found.rows, "unreadable": found.unreadable})
        return
    width = get_terminal_size().columns
    width -= min(max(len(row["image"]) for row in found.rows), width // 2) + 4
    lines = [
        (row["image"], wrapped([f"{one['class']} {percent(one['probability'])}" for one in row["top"]], width))
        for row in found.rows
    ]
    print_table({"image": "left", "most probable classes": "left"}, lines)


def _ranked(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the CSV file: `image class probability class_2 probability_2 ...`."""
    cells = {"image": row["image"]}
    for rank, one in enumerate(row["top"], start=1):
        suffix = "" if rank == 1 else f"_{rank}"
        cells |= {f"class{suffix}": one["class"], f"probability{suffix}": one["probability"]}
    return cells


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    from tune.files import write_whole

    # A file name that is not UTF-8 is written as it is.
    write_whole(path, pd.DataFrame(rows).to_csv(index=False).encode(errors="surrogateescape"))
    say(f"wrote {path}")


def _finish(rows: list[dict[str, Any]], picture: Picture, output: Path | None, csv: Path | None, json: bool) -> None:
    """Write the picture and say where it is."""
    from tune.files import write_whole

    path = output or picture.path
    write_whole(path, picture.content)
    if csv is not None:
        _write_csv(csv, rows)
    if json:
        print_json({"predictions": rows, "picture": str(path)})
        return
    if rows:
        names = [name for name in rows[0] if name != "image"]
        lines = ((row["image"], *(number(row[name]) for name in names)) for row in rows)
        print_table({"image": "left", **dict.fromkeys(names, "right")}, lines)
    show_line(f"wrote {path}")
