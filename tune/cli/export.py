"""`imagetune export`."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.words import counted
from tune.cli.evaluate import moved_images
from tune.cli.options import DEFAULT_OUT, DataDir, Json, Out, Run, local_path
from tune.cli.output import percent, print_json, say, show_line
from tune.errors import UserError

if TYPE_CHECKING:
    from tune.export.export import Export

EXAMPLES = (
    "imagetune export first",
    "imagetune export first --quantize int8",
    "imagetune export first --format torch --output model",
)


class Format(StrEnum):
    """The formats of exported models."""

    onnx = "onnx"
    torch = "torch"


class Quantize(StrEnum):
    """The number types that weights can be quantized to."""

    int8 = "int8"


def export(
    run: Run,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="data.path=FOLDER if the images have moved."),
    ] = None,
    format: Annotated[
        Format, typer.Option("--format", help="ONNX, or a program of torch.export (.pt2).")
    ] = Format.onnx,
    quantize: Annotated[
        Quantize | None, typer.Option("--quantize", help="Quantize to 8-bit integers, calibrated on training images.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            parser=local_path,
            metavar="DIR",
            help="The folder to write. Default: export/ in the run's folder.",
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Export a classifier for use without imagetune: the model, its labels and a model card in one folder."""
    if quantize is not None and format is not Format.onnx:
        raise UserError(f"--quantize {quantize}: only ONNX models can be quantized; use --format onnx")
    if output is not None and output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file; give a folder")

    from tune.export.export import TARGETS
    from tune.export.export import export as write
    from tune.record.folder import locate_run
    from tune.spec import data_root

    path = moved_images(overrides or [], "exported")
    target = TARGETS[format.value, quantize and quantize.value]
    found = write(locate_run(run, out), target, data_root(data_dir), say, path=path, place=output)
    if json:
        document = {"file": str(found.file), "files": [str(each) for each in found.files], "bytes": found.bytes}
        print_json(document | {"check": None if found.check is None else dataclasses.asdict(found.check)})
    else:
        _show(found)


def _show(found: Export) -> None:
    if (check := found.check) is not None:
        print(
            f"compared with the run on {counted(check.images, f'{check.split} image')}:\n"
            f"  largest difference of a logit {check.largest_difference:.2g}, same class for {check.same_class:,}\n"
            f"  accuracy {percent(check.accuracy)} (run: {percent(check.run_accuracy)})"
        )
    for path in found.files:
        show_line(f"wrote {path}")
