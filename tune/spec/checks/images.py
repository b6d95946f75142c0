"""What must be known of an experiment's images to check it: where they are, their shape and number."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import data
from data.files import cache_folder
from tune.spec.data_spec import DataSpec

Look = Callable[[DataSpec], data.DatasetInfo]
"""Finds the shape, the classes and the number of images of a data set; raises `data.DataError`."""


def data_root(root: Path | None = None) -> Path:
    """The data directory (torchvision's `root`): as given, or $IMAGETUNE_DATA, or in the user's cache folder."""
    if root is not None:
        return root
    if given := os.environ.get("IMAGETUNE_DATA"):
        return Path(given).expanduser()
    return cache_folder() / "data"


def inspect_data(spec: DataSpec, root: Path | None = None) -> data.DatasetInfo:
    """The shape, the classes and the number of training images, without decoding any.

    Raises:
        data.DataError: the folder is missing, or does not have one folder per class.
    """
    return data.inspect(spec.source, data_root(root))


def looker(root: Path | None) -> Look:
    """`inspect_data` that looks at each data set once, however it is normalized and augmented."""
    inspect = lru_cache(maxsize=64)(lambda source: data.inspect(source, data_root(root)))
    return lambda spec: inspect(spec.source)
