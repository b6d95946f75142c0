"""Making the arrays of a part batch by batch, in memory or in a file, so that they need not fit into memory."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import BinaryIO, NamedTuple

import numpy as np
import torch

from data.files import appearing
from data.untrusted import read_json
from data.values import ImageSet, Say, Unreadable
from data.words import counted

_SAVE_EVERY_SECONDS = 5.0


class Batch(NamedTuple):
    """Some images of a part, as they are read one after the other.

    Attributes:
        images: (k, C, H, W) uint8, those that can be read.
        end: How many images of the part have been read with this batch.
        unreadable: Position in the part and reason of those of the batch that cannot be read.
    """

    images: np.ndarray
    end: int
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How the arrays of a part are made, a batch at a time.

    Attributes:
        shape: (C, H, W) of an image.
        labels: (n,) int64 of all images, those that turn out to be unreadable included.
        classes: Class names.
        read: Gives the batches from a position on. It may raise DataError.
    """

    shape: tuple[int, int, int]
    labels: np.ndarray
    classes: tuple[str, ...]
    read: Callable[[int], Iterator[Batch]]


def in_memory(recipe: Recipe) -> ImageSet:
    """Make the arrays in memory."""
    images = np.empty((len(recipe.labels), *recipe.shape), np.uint8)
    unreadable: list[Unreadable] = []
    filled = 0
    for batch in recipe.read(0):
        images[filled : filled + len(batch.images)] = batch.images
        filled += len(batch.images)
        unreadable += batch.unreadable
    labels = readable(recipe.labels, unreadable)
    return ImageSet(torch.from_numpy(images[:filled]), torch.from_numpy(labels), recipe.classes, tuple(unreadable))


def readable(labels: np.ndarray, unreadable: list[Unreadable]) -> np.ndarray:
    """The labels of the images that can be read."""
    return np.delete(labels, [position for position, _ in unreadable])


def write_images(folder: Path, recipe: Recipe, say: Say) -> list[Unreadable]:
    """Write ``images.npy`` batch by batch; where a killed process has written a part of it, continue.

    Args:
        folder: Where; also for a note, ``progress.json``, of what is written.
        recipe: How to make the images.
        say: Called with a line where work is continued.

    Returns:
        The images that cannot be read.
    """
    image_bytes, total = math.prod(recipe.shape), len(recipe.labels)
    path, note = folder / "images.npy", folder / "progress.json"
    done, unreadable = _written(path, note)
    if done:
        say(f"continuing an interrupted preparation: {done:,} of {counted(total, 'image')} done")
    saved = monotonic()
    with path.open("r+b" if done else "wb") as file:
        start = _write_header(file, total, recipe.shape)
        file.truncate(start + (done - len(unreadable)) * image_bytes)
        file.seek(0, os.SEEK_END)
        for batch in recipe.read(done):
            file.write(np.ascontiguousarray(batch.images).data)
            done = batch.end
            unreadable += batch.unreadable
            if monotonic() - saved > _SAVE_EVERY_SECONDS:
                _sync(file)
                with appearing(note) as new:
                    new.write_text(json.dumps([done, unreadable]), encoding="utf-8")
                saved = monotonic()
        file.seek(0)
        _write_header(file, total - len(unreadable), recipe.shape)
        _sync(file)
    note.unlink(missing_ok=True)
    return unreadable


def _written(path: Path, note: Path) -> tuple[int, list[Unreadable]]:
    """How many images a killed process has read, and which of them cannot be."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        done, unreadable = read_json(note)
        if path.is_file():
            return int(done), [(int(position), str(reason)) for position, reason in unreadable]
    return 0, []


def _write_header(file: BinaryIO, images: int, shape: tuple[int, int, int]) -> int:
    """Write the header of a NumPy file, and give its length: NumPy leaves room in it for any number of images."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (images, *shape)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
