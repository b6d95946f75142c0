"""What travels with a job: this package's code and the search's YAML, and nothing else of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import tune

PACKAGES = ("data", "models", "search_spaces", "tune")
SPACE = "space.yaml"
"""The search's YAML file in the folder that travels."""


@contextmanager
def working_dir(space: Path | None) -> Iterator[Path]:
    """A folder with the packages, and with the search's file if it is the user's own.

    Ray leaves out what a .gitignore names, such as `data/`, and takes all else: so the folder holds exactly what the
    nodes need, and is no part of a checkout.
    """
    source = Path(str(tune.__file__)).parents[1]
    with TemporaryDirectory(prefix="imagetune-") as name:
        folder = Path(name)
        for package in PACKAGES:
            shutil.copytree(source / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        if space is not None:
            shutil.copyfile(space, folder / SPACE)
        yield folder
