"""The table of the data-type experiment: its rows and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tune.evaluation.timing import quartiles
from tune.reproduce import merged_table
from tune.reproduce.cells import joined, means, middle
from tune.reproduce.merged_table import Line
from tune.reproduce.subprocess_training import Images
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
        name: The row's name.
        experiment: A shipped name or a YAML file.
        images: The type that images are kept in while training.
        training: The precision of the training, as in its experiment.
        inference: The runtime and the type of inference.
        trained_as: The row whose training is used; its own name if it has a training of its own.
        model: The exported model in the run's folder that is used; None for the weights themselves.
        int8: Whether that model is quantized.
    """

    name: str
    experiment: str
    images: Images
    training: str
    inference: str
    trained_as: str
    model: str | None = None
    int8: bool = False


def _trained(name: str, training: str, images: Images = "uint8") -> DtypeRow:
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
"""Each differs from the first in one thing, the last from the one before it, to tell a runtime from a type."""


class Measured(Frozen):
    """Results of one seed of a row, as written to a file in its run folder.

    Attributes:
        diverged: Whether the training did; there are no scores then.
        epoch_seconds: Of each epoch, validation included; None if the row has no training of its own.
        peak_bytes: Physical memory of the training's process; None likewise.
        image_bytes: Of the training and validation images in memory; None likewise.
        accuracy: On the test images, like the next two.
        macro_f1: Mean over classes.
        loss: Cross entropy.
        test_images: Their number.
        batch_ms: Quartiles (first, median, third) of the milliseconds per batch of the training's size.
        image_ms: The same for a single image.
        model_bytes: Of the model's file.
        where: Hardware, versions, commit and date.
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
    """The columns of a row that are known without measuring."""
    return {
        KEY: row.name,
        "status": NOT_RUN,
        "images": row.images,
        "training": row.training,
        "inference": row.inference,
        "trained_as": row.trained_as,
    }


def cells_of(every: Sequence[Measured], threads: int) -> Line:
    """The results of a row's runs: means of scores, medians and quartiles of times, maxima of bytes."""
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
    """Every row by name, with the results that a CSV file has.

    Raises:
        UserError: The file is not such a table.
    """
    known = merged_table.read_lines(path, KEY, TEXT)
    return {**known, **{name: {**facts_of(row), **_filled(known.get(name, {}))} for name, row in ROWS.items()}}


def _filled(line: Line) -> Line:
    return {column: value for column, value in line.items() if value is not None}


def record(path: Path, line: Line) -> None:
    """Put a row's line into a CSV file; other lines stay as they are.

    Raises:
        UserError: The file is not such a table.
        OSError: It cannot be written.
    """
    merged_table.put_line(path, line, KEY, table)
