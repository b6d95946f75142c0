"""Data sets: from files to batches on a device. Imports no other package of this repository.

``registry`` (the table of data sets) -> ``sources`` (read, download, verify) -> ``store`` (prepared arrays, shared by
processes) -> ``splits`` (train and validation) -> ``resident`` (batches on a device), ``augmentation``, ``normalize``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from data.errors import DamagedDataError, DataError
from data.registry import DatasetEntry
from data.values import DatasetInfo, ImageSet, Source

if TYPE_CHECKING:
    from data.augmentation import Augment, build_augment
    from data.folder.image_files import decode_files, images_in, read_images, unreadable
    from data.identity import DataIdentity
    from data.normalize import Normalization, channel_moments, normalization
    from data.resident import Resident
    from data.sources import identify, inspect, load_test, load_train, load_train_with_identity
    from data.splits import Split, limit, split
    from data.statistics import Statistics, prepare

__all__ = [
    "Augment", "DamagedDataError", "DataError", "DataIdentity", "DatasetEntry", "DatasetInfo", "ImageSet",
    "Normalization", "Resident", "Source", "Split", "Statistics", "build_augment", "channel_moments", "decode_files",
    "identify", "images_in", "inspect", "limit", "load_test", "load_train", "load_train_with_identity", "normalization",
    "prepare", "read_images", "split", "unreadable",
]  # fmt: skip

# Imported when first used, since they import torch, which `imagetune datasets` does not need.
_HOME = {
    "Augment": "augmentation", "build_augment": "augmentation",
    "DataIdentity": "identity",
    "Normalization": "normalize", "channel_moments": "normalize", "normalization": "normalize",
    "decode_files": "folder.image_files", "images_in": "folder.image_files", "read_images": "folder.image_files",
    "unreadable": "folder.image_files",
    "Resident": "resident",
    "identify": "sources", "inspect": "sources", "load_test": "sources", "load_train": "sources",
    "load_train_with_identity": "sources",
    "Split": "splits", "limit": "splits", "split": "splits",
    "Statistics": "statistics", "prepare": "statistics",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'data' has no attribute {name!r}")
    return getattr(import_module(f"data.{_HOME[name]}"), name)
