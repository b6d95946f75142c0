"""What a user's folder holds, by names and image headers alone; no image is decoded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from data.errors import DataError
from data.folder.decode import open_image
from data.folder.parts import scan
from data.values import Source

_MOST_OPENED = 500


@dataclass(frozen=True)
class Survey:
    """What lies in a user's folder.

    Attributes:
        root: The folder, as an absolute path.
        classes: Class names, in the order of the labels.
        train_counts: Number of training images of each class.
        test_size: Number of test images.
        divided: Whether the user has divided the images into training and test sets.
        sides: The shorter sides of images all over the training set, sorted, in pixels; at most 500 are looked at.
        notes: What the user should know, a sentence each.
    """

    root: Path
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_size: int
    divided: bool
    sides: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def train_size(self) -> int:
        """Number of training images."""
        return sum(self.train_counts)

    @property
    def median_side(self) -> int:
        """The median of the shorter sides."""
        return int(median(self.sides))


def survey(path: str | Path) -> Survey:
    """Look at a user's folder.

    Raises:
        DataError: The folder cannot be used, as for ``scan``; or none of the images looked at can be opened.
    """
    root = Path(os.path.abspath(os.path.expanduser(path)))
    listing = scan(Source("folder", str(root), image_size=1))
    sides = []
    for position in listing.train[:: -(-len(listing.train) // _MOST_OPENED)].tolist():
        try:
            with open_image(root / listing.paths[position]) as image:
                sides.append(min(image.size))
        except Exception:  # Pillow raises many kinds for damaged files; `prepare` and `search` name each of them
            continue
    if not sides:
        raise DataError(f"no image in {root} can be opened; check a few of them with another program")
    divided = listing.paths[0].split("/", 1)[0] not in listing.classes
    counts = np.bincount(listing.labels[listing.train], minlength=len(listing.classes))
    return Survey(
        root,
        listing.classes,
        tuple(counts.tolist()),
        len(listing.test),
        divided,
        tuple(sorted(sides)),
        listing.notes,
    )
