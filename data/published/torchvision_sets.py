"""Data sets whose files are described by torchvision: verify, download and read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from data.errors import DamagedDataError, DataError
from data.published.cifar import CifarLayout
from data.published.download import DownloadError
from data.published.idx import IdxLayout
from data.published.layouts import Fault, Layout
from data.registry import DatasetEntry
from data.store import Origin, file_facts
from data.values import ImageSet, Part, Say
from data.words import counted


def layout_of(entry: DatasetEntry) -> Layout:
    """The layout of a data set's files on disk."""
    from torchvision import datasets  # slow to import

    dataset = getattr(datasets, entry.torchvision_class or "")
    return IdxLayout(dataset) if issubclass(dataset, datasets.MNIST) else CifarLayout(dataset)


def origin(entry: DatasetEntry, part: Part, root: Path) -> Origin:
    """What the prepared arrays of a part are made from: the files as they lie there now."""
    files = [path.resolve() for path in layout_of(entry).present(root)]
    return Origin(entry.name, part, str(root.resolve()), tuple(map(file_facts, files)))


def ensure(entry: DatasetEntry, root: Path, *, download: bool, repair: bool, say: Say) -> None:
    """Make sure that all files are there and intact.

    Args:
        entry: The data set.
        root: The data folder.
        download: Whether missing files may be downloaded.
        repair: Whether damaged files may be replaced.
        say: Called with a line for each download and repair.

    Raises:
        DamagedDataError: A file is damaged and may not, or could not, be replaced.
        DataError: Files are missing and could not be downloaded, or the folder cannot be read or written.
    """
    layout = layout_of(entry)
    try:
        faults = layout.faults(root)
        damaged = [fault for fault in faults if fault.damage]
        if damaged and not repair:
            raise _damaged(entry, damaged)
        for fault in damaged:
            say(f"{fault.path} is damaged ({fault.damage}); replacing it")
        if faults:
            layout.complete(root, online=download, say=say)
            if left := layout.faults(root):
                raise _damaged(entry, [Fault(fault.path, fault.damage or "it is missing") for fault in left])
    except DownloadError as error:
        raise _absent(entry, faults, root, error) from error
    except OSError as error:
        raise DataError(f"{entry.name}: {error.filename or root}: {error.strerror or error}") from error


def read(entry: DatasetEntry, part: Part, root: Path) -> ImageSet:
    """Read a part of a data set into memory; its files must be intact.

    Raises:
        DamagedDataError: A label is out of range.
    """
    images, labels = layout_of(entry).read(root, part)
    classes = entry.classes or ()
    if labels.size and not 0 <= labels.min() <= labels.max() < len(classes):
        raise DamagedDataError(
            f"{entry.name} has labels from {labels.min()} to {labels.max()}, but only {counted(len(classes), 'class')}"
        )
    return ImageSet(torch.from_numpy(np.array(images)), torch.from_numpy(labels), classes)


def _damaged(entry: DatasetEntry, faults: list[Fault]) -> DamagedDataError:
    listed = "; ".join(f"{fault.path} is damaged: {fault.damage}" for fault in faults)
    them = "it" if len(faults) == 1 else "them"
    return DamagedDataError(
        f"{listed}; delete {them}, or run `imagetune prepare {entry.name}` to download {them} again"
    )


def _absent(entry: DatasetEntry, faults: list[Fault], root: Path, cause: Exception) -> DataError:
    names = ", ".join(str(fault.path.relative_to(root)) for fault in faults)
    damaged = any(fault.damage for fault in faults)
    return (DamagedDataError if damaged else DataError)(
        f"{entry.name} is {'damaged' if damaged else 'missing'}: could not download {names} to {root} ({cause}); run "
        f"`imagetune prepare {entry.name}` with network access, or copy the files there"
    )
