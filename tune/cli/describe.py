"""`imagetune describe`."""

from __future__ import annotations

import re
import textwrap
from dataclasses import asdict
from shutil import get_terminal_size
from typing import Annotated, Any

import typer

from data.words import quoted
from tune.cli.options import MOST, Json
from tune.cli.output import number, print_json, shape
from tune.errors import UserError

EXAMPLES = (
    "imagetune describe classifier",
    "imagetune describe classifier cnn_layers=4 activation=relu --input 1x28x28",
    "imagetune describe simple_cnn conv_channels=[16,32] --batch 1 --json",
)


def describe(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name of a model (see `imagetune models`).")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Options of the model, for example dropout=0.2.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Size of the images. Default: as published."),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option("--classes", metavar="N", min=1, max=MOST, help="Number of classes. Default: as published."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, max=MOST, help="Batch size.")] = 100,
    json: Json = False,
) -> None:
    """Show the layers, parameters and multiply-adds of a model."""
    import models
    from tune.spec.errors import SpecError
    from tune.spec.reading.overrides import parse_overrides

    entry = models.get(model)
    values, problems = parse_overrides(options or ())
    if problems:
        raise SpecError(problems)
    input_shape = entry.native_input if image is None else parse_shape(image)
    classes = classes or entry.native_classes
    facts = _facts(model, input_shape, classes, batch, values)
    if json:
        print_json(facts)
        return
    width = get_terminal_size(fallback=(1_000, 0)).columns  # nothing is cut where there is no terminal
    print(models.summary(models.build_meta(model, input_shape, classes, **values), input_shape, batch, width))
    plan: dict[str, Any] = {key: facts[key] for key in ("channels", "sizes", "widths") if key in facts}
    plan |= {"channel_ratio": number(facts["channel_ratio"])} if "channel_ratio" in facts else {}
    plan["layers"] = ", ".join(f"{n} {kind}" for kind, n in facts["layers"].items())
    for key, value in plan.items():
        print(textwrap.fill(f"{key:<13} {value}", width, subsequent_indent=" " * 14))


def _facts(
    model: str, input_shape: tuple[int, int, int], classes: int, batch: int, options: dict[str, Any]
) -> dict[str, Any]:
    import models

    plan = models.check(model, input_shape, classes, **options)
    cost = models.cost_of(model, input_shape, classes, batch, **options)
    return {
        "model": model,
        "input": shape(input_shape),
        "classes": classes,
        "batch": batch,
        "options": {option.name: options.get(option.name, option.default) for option in models.options(model).values()},
        "parameters": cost.parameters,
        "mult_adds": cost.mult_adds,
        "forward_backward_mb": cost.forward_backward_bytes / 1e6,
        "params_mb": cost.params_bytes / 1e6,
        "input_mb": cost.input_bytes / 1e6,
        "layers": models.layer_counts(models.build_meta(model, input_shape, classes, **options)),
        **(asdict(plan) if plan else {}),
    }


def parse_shape(text: str) -> tuple[int, int, int]:
    """The shape of an image: `3x32x32` is (3, 32, 32).

    Raises:
        UserError: the text does not have this form.
    """
    if not (match := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})x([1-9]\d{0,4})", text, re.ASCII)):
        raise UserError(f"--input must be CxHxW, such as 3x32x32 (got {quoted(text)})")
    channels, height, width = map(int, match.groups())
    return channels, height, width
