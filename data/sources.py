"""Reading datasets: from disk, from the user's folder, or downloaded on first use."""

from __future__ import annotations

from pathlib import Path

from data import registry, store
from data.errors import DataError
from data.files import one_at_a_time
from data.folder import reading
from data.folder.parts import scan
from data.identity import DataIdentity
from data.published import torchvision_sets
from data.registry import DatasetEntry
from data.values import DatasetInfo, ImageSet, Part, Say, Source, silent


def inspect(source: Source, root: Path) -> DatasetInfo:
    """Shape, classes and size of a dataset, without decoding, downloading or writing anything.

    Args:
        source: Which images.
        root: The data folder; not used for published datasets, whose facts are known.

    Raises:
        DataError: The name is unknown, or the user's folder cannot be used as it is.
    """
    entry = _entry(source)
    if entry.input_shape is not None and entry.classes is not None:
        return DatasetInfo(entry.input_shape, entry.classes, entry.train_size)
    listing = scan(source)
    side = source.image_size or 0
    return DatasetInfo((3, side, side), listing.classes, len(listing.train))


def load_train(source: Source, root: Path, *, download: bool = True, say: Say = silent) -> ImageSet:
    """The training set, from which the validation set is taken.

    Args:
        source: Which images.
        root: The data folder, laid out as torchvision's ``root``; prepared arrays are kept in it.
        download: Whether missing files may be downloaded.
        say: Called with a line about anything slow or unexpected.

    Returns:
        The images, as memory maps shared by all processes of the node.

    Raises:
        DamagedDataError: A file is damaged.
        DataError: The images are missing or cannot be used; the text says why and what to do.
    """
    return _load(source, root, "train", download=download, say=say)[0]


def load_train_with_identity(
    source: Source, root: Path, *, download: bool = True, say: Say = silent
) -> tuple[ImageSet, DataIdentity]:
    """The training set and the identity of the dataset; as ``load_train`` and ``identify``, with one listing."""
    return _load(source, root, "train", download=download, say=say)


def load_test(source: Source, root: Path, *, download: bool = True, say: Say = silent) -> ImageSet:
    """The test set; see ``load_train``. For the final evaluation only: never choose anything by it.

    It is empty where every class of the user's folder has one image only, and may lack some classes.
    """
    return _load(source, root, "test", download=download, say=say)[0]


def identify(source: Source, root: Path, say: Say = silent) -> DataIdentity:
    """What the images are, by content, without decoding any.

    Args:
        source: Which images.
        root: The data folder; what is known of the user's files is kept in it, so that only changed ones are read.
        say: Called with a line about anything slow.

    Raises:
        DataError: The name is unknown, or the user's folder cannot be used as it is.
    """
    entry = _entry(source)
    if entry.name == "folder":
        return reading.identify(source, root, say)
    return _named(entry)


def _named(entry: DatasetEntry) -> DataIdentity:
    """The identity of a bundled or published dataset."""
    return DataIdentity(entry.name, entry.classes or ())


def ensure(source: Source, root: Path, *, say: Say = silent) -> None:
    """Verify every file of a published dataset, replace damaged and download missing ones.

    Raises:
        DamagedDataError: A damaged file could not be replaced.
        DataError: A missing file could not be downloaded.
    """
    entry = _entry(source)
    if entry.torchvision_class:
        with one_at_a_time(store.homes(root), entry.name, say):
            torchvision_sets.ensure(entry, root, download=True, repair=True, say=say)


def _entry(source: Source) -> DatasetEntry:
    """The dataset's entry, after a check that only ``folder`` is given a path."""
    entry = registry.get(source.name)
    if entry.name != "folder" and (source.path or source.image_size):
        given = "data.path" if source.path else "data.image_size"
        raise DataError(f"{given} is only for data.name=folder (got data.name={entry.name}); remove it")
    return entry


def _load(source: Source, root: Path, part: Part, *, download: bool, say: Say) -> tuple[ImageSet, DataIdentity]:
    entry = _entry(source)
    if entry.name == "folder":
        return reading.load(source, root, part, say)
    if entry.read is not None:
        return entry.read(part), _named(entry)
    return _load_published(entry, root, part, download=download, say=say), _named(entry)


def _load_published(entry: DatasetEntry, root: Path, part: Part, *, download: bool, say: Say) -> ImageSet:
    if found := store.fetch(torchvision_sets.origin(entry, part, root), root, silent):
        return found
    with one_at_a_time(store.homes(root), entry.name, say):
        # The files are checked whenever they are not those that were prepared; another process may just have done so.
        if found := store.fetch(torchvision_sets.origin(entry, part, root), root, say):
            return found
        torchvision_sets.ensure(entry, root, download=download, repair=False, say=say)
        origin = torchvision_sets.origin(entry, part, root)
        return store.keep(origin, torchvision_sets.read(entry, part, root), root, say)
