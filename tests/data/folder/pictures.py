"""Small image files, and folders of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from data import Source

SIDE = 8


def picture(path: Path, grey: int = 100, size: tuple[int, int] = (10, 12)) -> Path:
    """An image of one colour, and the folders on the way to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, 0, 0)).save(path)
    return path


def folder_of(root: Path, classes: Iterable[str] = ("blue", "green", "red"), count: int = 5, first: int = 0) -> Path:
    """A folder per class with ``count`` images, no two of them alike."""
    for position, name in enumerate(classes):
        for number in range(count):
            picture(root / name / f"{number}.png", grey=first + position * count + number)
    return root


def source_of(folder: Path, **changes: object) -> Source:
    """The source that reads a folder."""
    return replace(Source("folder", path=str(folder), image_size=SIDE), **changes)  # type: ignore[arg-type]
