"""Use a run's model on image files, or generate images with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import data
import models
from data.values import Progress, Say
from tune.errors import UserError
from tune.evaluation import classification, reconstruction
from tune.evaluation.inference import pixels_of
from tune.evaluation.pictures import sheet
from tune.evaluation.result import Grid
from tune.record.folder import RunFolder
from tune.runs.info import read_run
from tune.runs.run import best_device
from tune.runs.weights import TrainedRun, open_run

ROW = 8  # images per row in a picture of reconstructions
MOST_IMAGES = 10_000  # in one picture
_CHUNK = 256  # images that are decoded before they are classified


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


@dataclass(frozen=True)
class ImageClassifier:
    """A classifier of image files, from a run or an exported file.

    Attributes:
        classify: From pixels (B, C, H, W), 0 to 255, to logits.
        input_shape: (C, H, W), in pixels.
        classes: Names in the order of the logits.
        max_pixels: The largest image that is decoded, height times width.
    """

    classify: classification.Classifier
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    max_pixels: int


@dataclass(frozen=True)
class Predictions:
    """What a classifier says about image files.

    Attributes:
        rows: For each file `image`, `class` and `probability`, and `top`, the most probable classes, best first.
        unreadable: For each file of a folder that cannot be read `image` and `reason`.
    """

    rows: list[dict[str, Any]]
    unreadable: list[dict[str, str]]


def classifier_of_run(folder: RunFolder) -> ImageClassifier:
    """The classifier of a run.

    Raises:
        UserError, CheckpointError: As `open_for` does.
    """
    run = open_for(folder, "classification", "classes of images")
    classify = classification.pixel_classifier_of(run)
    return ImageClassifier(classify, run.info.input_shape, run.info.classes, run.experiment.data.max_pixels)


def classify(classifier: ImageClassifier, paths: Sequence[Path], top: int, say: Say) -> Predictions:
    """Classify image files, and all images in folders at any depth.

    Args:
        classifier: Of a run or an exported file.
        paths: Files and folders.
        top: How many classes to give per image; all where there are fewer.
        say: Called with a line about what is left out in folders, and about the progress.

    Raises:
        data.DataError: A file that is named, or each image in the folders, cannot be read.
    """
    files = _files(paths, say)
    rows, failed = list[dict[str, Any]](), list[tuple[Path, str]]()
    progress = Progress("classified", len(files), say)
    for start in range(0, len(files), _CHUNK):
        chunk = files[start : start + _CHUNK]
        images = data.decode_files(chunk, classifier.input_shape, max_pixels=classifier.max_pixels)
        failed += [(path, image) for path, image in zip(chunk, images, strict=True) if isinstance(image, str)]
        read = [(path, image) for path, image in zip(chunk, images, strict=True) if not isinstance(image, str)]
        if read:
            pixels = torch.from_numpy(np.stack([image for _, image in read]))
            rows += [_row(path, best) for (path, _), best in zip(read, _top(classifier, pixels, top), strict=True)]
        progress.advance(len(chunk))
    if named := [(path, reason) for path, reason in failed if path in set(paths)]:
        raise data.unreadable(named)
    if failed and not rows:
        raise data.unreadable(failed)
    for path, reason in failed:
        say(f"left out {path}: {reason}")
    return Predictions(rows, [{"image": str(path), "reason": reason} for path, reason in failed])


def _files(paths: Sequence[Path], say: Say) -> list[Path]:
    """The files, and instead of each folder the images in it."""
    files: list[Path] = []
    for path in paths:
        found, left = data.images_in(path) if path.is_dir() else ([path], "")
        files += found
        if left:
            say(f"{path}: left out {left}")
    return files


def _top(classifier: ImageClassifier, pixels: Tensor, k: int) -> Iterator[list[tuple[str, float]]]:
    """The k most probable classes of each image with their probabilities, best first."""
    classes = classifier.classes
    images = data.Resident(pixels, torch.zeros(len(pixels), dtype=torch.int64))
    for batch, _ in classification.logits(classifier.classify, pixels_of(images), len(classes)):
        best = batch.double().softmax(1).topk(min(k, len(classes)), dim=1)
        for values, labels in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            yield [(classes[label], value) for label, value in zip(labels, values, strict=True)]


def _row(path: Path, best: list[tuple[str, float]]) -> dict[str, Any]:
    ranked = [{"class": name, "probability": probability} for name, probability in best]
    return {"image": str(path), **ranked[0], "top": ranked}


def reconstruct(folder: RunFolder, paths: Sequence[Path], say: Say) -> tuple[list[dict[str, Any]], Picture]:
    """A row per image file, `image loss reconstruction kl`, and a picture of them above their reconstructions.

    Args:
        folder: The run's.
        paths: Files and folders.
        say: Called with a line about what is left out in folders.

    Raises:
        UserError, CheckpointError: as `open_for` does.
        data.DataError: images cannot be read.
    """
    run = open_for(folder, "reconstruction", "reconstructions of images")
    files = _files(paths, say)
    images = _read(run, files)
    found = {name: values.tolist() for name, values in reconstruction.terms(run, images).columns().items()}
    rows = [{"image": str(path), **{name: found[name][i] for name in found}} for i, path in enumerate(files)]
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
