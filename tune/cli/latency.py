"""`imagetune latency`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tune.cli.options import DEFAULT_OUT, Json, Out
from tune.cli.output import count, number, print_json, print_table, say

EXAMPLES = (
    "imagetune latency first other",
    "imagetune latency first checkpoints/first/export/model-int8.onnx",
)


def latency(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Names of runs below --out, their folders, or exported files."),
    ],
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Time models on the CPU: batches of 1 and 64 images, one thread and all, in torch and ONNX Runtime."""
    from tune.export.latency import latencies
    from tune.report.comparison.runs import names

    rows = latencies(runs, out, say)
    if json:
        print_json({"runs": [dataclasses.asdict(row) for row in rows]})
        return
    paths = list(dict.fromkeys(map(Path, runs)))
    short = dict(zip(paths, names(paths), strict=True))
    kinds = {"run": "left", "runtime": "name"}
    numbers = ("batch", "threads", "median ms", "p95 ms", "images/s")
    print_table(
        kinds | dict.fromkeys(numbers, "right"),
        (
            (
                short[Path(row.run)],
                row.runtime,
                str(row.batch),
                str(row.threads),
                number(row.median_ms, 3),
                number(row.p95_ms, 3),
                count(row.images_per_second),
            )
            for row in rows
        ),
    )
