"""The table of the data-type experiment: its rows, and what their runs came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tune.export.latency import quartiles
from tune.reproduce import merged_table
from tune.reproduce.cells import joined, means, middle
from tune.reproduce.merged_table import Line
from tune.runs.plan import Storage
from tune.spec.base import Frozen

MEASURED, NOT_RUN, DIVERGED = "measured", "not run", "diverged"
KEY = "row"
_WHERE = ("hardware", "python", "torch", "onnxruntime", "commit", "date")
TEXT = (KEY, "status", "images", "training", "inference", "trained_as", *_WHERE)
SCORES = ("accuracy", "macro_f1", "loss")


@dataclass(frozen=True)
class DtypeRow:
    """One row: three data types.

    Attributes:
        name: Of the row.
        experiment: A shipped name or a YAML file.
        images: What the training's images are kept as.
        training: What it computes in, as its experiment says.
        inference: What applies the trained network, and in what type.
        trained_as: The row whose training this is; its own name where it has one.
        model: The file of the model that is applied, below the run's folder; None for the weights themselves.
        int8: Whether that model is quantized.
    """

    name: str
    experiment: str
    images: Storage
    training: str
    inference: str
    trained_as: str
    model: str | None = None
    int8: bool = False


def _trained(name: str, training: str, images: Storage = "uint8") -> DtypeRow:
    return DtypeRow(name, f"simple_cnn_{training}", images, training, f"torch {training}", name)


_FLOAT32 = _trained("float32", "float32")
_ONNX = replace(_FLOAT32, name="onnx_float32", inference="ONNX float32", model="model.onnx")
ROWS: dict[str, DtypeRow] = {
    row.name: row
    for row in (
        _FLOAT32,
        _trained("bfloat16", "bfloat16"),
        _trained("float16", "float16"),
        _trained("images_float16", "float32", "float16"),
        _trained("images_float32", "float32", "float32"),
        _ONNX,
        replace(_ONNX, name="onnx_int8", inference="ONNX int8", model="model-int8.onnx", int8=True),
    )
}
"""Each differs from the first in one thing, the last from the one before it: a runtime is not taken for a type."""


class Measured(Frozen):
    """What one seed of a row came to, as a file in its run folder says.

    Attributes:
        diverged: Whether its training did; there are no scores then.
        epoch_seconds: Of each epoch of its own training, validation included; None where it has none of its own.
        peak_bytes: Of physical memory of its training's process; None likewise.
        image_bytes: Of the images that it trained and validated on, as they are kept; None likewise.
        accuracy: On the test images, as the next two.
        macro_f1: The mean over classes.
        loss: Cross entropy.
        test_images: Their number.
        batch_ms: First quartile, median and third quartile of the milliseconds for a batch of the training's size.
        image_ms: The same for a single image.
        model_bytes: Of the model's file.
        where: Hardware, versions, commit and date of this.
    """

    diverged: bool = False
    epoch_seconds: tuple[float, ...] | None = None
    peak_bytes: int | None = None
    image_bytes: int | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    loss: float | None = None
    test_images: int | None = None
    batch_ms: tuple[float, float, float] | None = None
    image_ms: tuple[float, float, float] | None = None
    model_bytes: int | None = None
    where: dict[str, str]


def facts_of(row: DtypeRow) -> Line:
    """What a row is, measured or not."""
    return {
        KEY: row.name,
        "status": NOT_RUN,
        "images": row.images,
        "training": row.training,
        "inference": row.inference,
        "trained_as": row.trained_as,
    }


def cells_of(every: Sequence[Measured], threads: int) -> Line:
    """What the runs of a row came to: means of scores, medians and quartiles of times, the largest of bytes."""
    sound = [one for one in every if not one.diverged]
    seconds = [second for one in every for second in one.epoch_seconds or ()]
    return {
        "status": MEASURED if sound else DIVERGED,
        **means(sound, SCORES),
        **middle("epoch_seconds", [quartiles(seconds) if seconds else None]),
        "epochs": len(seconds) or None,
        **middle("batch_ms", (one.batch_ms for one in sound)),
        **middle("image_ms", (one.image_ms for one in sound)),
        **{name: _largest(every, name) for name in ("model_bytes", "image_bytes", "peak_bytes")},
        "n": len(sound),
        "diverged": len(every) - len(sound),
        "test_images": _largest(every, "test_images"),
        "threads": threads,
        **{name: joined(one.where[name] for one in every) or None for name in _WHERE},
    }


def _largest(every: Sequence[Measured], name: str) -> int | None:
    return max((value for one in every if (value := getattr(one, name)) is not None), default=None)


def table(path: Path) -> dict[str, Line]:
    """Every row with what a CSV file has measured of it, by name.

    Raises:
        UserError: the file is not such a table.
    """
    known = merged_table.read_lines(path, KEY, TEXT)
    return {**known, **{name: {**facts_of(row), **_filled(known.get(name, {}))} for name, row in ROWS.items()}}


def _filled(line: Line) -> Line:
    return {column: value for column, value in line.items() if value is not None}


def record(path: Path, line: Line) -> None:
    """Put a row's line into a CSV file; the others stay as they are.

    Raises:
        UserError: the file is not such a table.
        OSError: it cannot be written.
    """
    merged_table.put_line(path, line, KEY, table)
