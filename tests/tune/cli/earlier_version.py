"""Searches and runs that version 0.1 left; see test_earlier_versions.py."""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(folder: Path) -> Path:
    """The searches and runs, in a folder of their own."""
    with tarfile.open(Path(__file__).with_name("earlier_version.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    return folder
