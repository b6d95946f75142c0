"""Use a run's model on image files, or generate images with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import data
import models
from tune.errors import UserError
from tune.evaluation import classification, reconstruction
from tune.evaluation.pictures import sheet
from tune.evaluation.result import Grid
from tune.record.folder import RunFolder
from tune.runs.info import read_run
from tune.runs.run import best_device
from tune.runs.weights import TrainedRun, open_run

ROW = 8  # images per row in a picture of reconstructions
MOST_IMAGES = 10_000  # in one picture


@dataclass(frozen=True)
class Picture:
    """A PNG and the path it is written to by default."""

    content: bytes
    path: Path


def open_for(folder: RunFolder, task: str, wish: str) -> TrainedRun:
    """The run's model, for something that only models of one task can do.

    Args:
        folder: The run's.
        task: As in `models.ModelEntry.task`.
        wish: What was asked for, in the words of the command line.

    Raises:
        UserError: The model is of another task, or has no weights yet.
        CheckpointError: The weights are damaged.
    """
    run = open_run(folder, best_device())
    name = run.experiment.model.name
    if (own := models.get(name).task) != task:
        able = ", ".join(other for other in models.names() if models.get(other).task == task)
        raise UserError(f"{wish}: {folder.path} is a {name}, a model for {own}; give a run of {able}")
    return run


def task_of_run(folder: RunFolder) -> str:
    """The task of the run's model.

    Raises:
        SpecError: `experiment.yaml` is damaged.
    """
    return models.get(read_run(folder)[0].model.name).task


def classify(folder: RunFolder, paths: Sequence[Path], top: int) -> list[dict[str, Any]]:
    """A row per image file: `image`, `class` and `probability`, and `top`, the most probable classes, best first.

    Raises:
        UserError, CheckpointError: as `open_for` does.
        data.DataError: images cannot be read.
    """
    run = open_for(folder, "classification", "classes of images")
    rows = []
    for path, best in zip(paths, classification.top(run, _read(run, paths), top), strict=True):
        ranked = [{"class": name, "probability": probability} for name, probability in best]
        rows.append({"image": str(path), **ranked[0], "top": ranked})
    return rows


def reconstruct(folder: RunFolder, paths: Sequence[Path]) -> tuple[list[dict[str, Any]], Picture]:
    """A row per image file, `image loss reconstruction kl`, and a picture of them above their reconstructions.

    Raises:
        UserError, CheckpointError: as `open_for` does.
        data.DataError: images cannot be read.
    """
    run = open_for(folder, "reconstruction", "reconstructions of images")
    images = _read(run, paths)
    found = {name: values.tolist() for name, values in reconstruction.terms(run, images).columns().items()}
    rows = [{"image": str(path), **{name: found[name][i] for name in found}} for i, path in enumerate(paths)]
    return rows, Picture(reconstruction.reconstructions_picture(run, images, ROW), folder.figures / "images.png")


def sample(folder: RunFolder, grid: Grid, seed: int) -> Picture:
    """A picture of images decoded from samples of the prior.

    Raises:
        UserError, CheckpointError: as `open_for` does; or the picture would be too large.
    """
    rows, columns = grid
    if rows * columns > MOST_IMAGES:
        raise UserError(f"--sample: {rows} x {columns} is {rows * columns:,} images; use at most {MOST_IMAGES:,}")
    run = open_for(folder, "reconstruction", "--sample")
    images = reconstruction.sample(run, rows * columns, seed)
    return Picture(sheet(images, columns), folder.figures / "samples.png")


def interpolate(folder: RunFolder, pair: Sequence[Path], steps: int) -> Picture:
    """A picture of the interpolation between two image files.

    Raises:
        UserError, CheckpointError: as `open_for` does.
        data.DataError: an image cannot be read.
    """
    run = open_for(folder, "reconstruction", "--interpolate")
    images = reconstruction.interpolate(run, _read(run, pair), steps)
    return Picture(sheet(images, steps), folder.figures / "interpolation.png")


def _read(run: TrainedRun, paths: Sequence[Path]) -> data.Resident:
    """Image files as input of the run's model."""
    pixels = data.read_images(paths, run.info.input_shape, max_pixels=run.experiment.data.max_pixels)
    values = run.info.normalization
    normalization = data.Normalization(values.mean, values.std)
    return data.Resident(pixels, torch.zeros(len(pixels), dtype=torch.int64), normalization=normalization)
