"""The user's own images: one folder per class."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from data.errors import DataError
from data.identity import HASH_BYTES, DataIdentity
from data.splits import split
from data.store import Origin, file_facts
from data.values import ImageSet, Part, Say, Source, silent

_VALIDATION_NAMES = frozenset(("val", "valid", "validation", "dev"))
_SAY_EVERY_SECONDS = 5.0
_MOST_THREADS = 8

Labelled = tuple[Path, int]


@dataclass(frozen=True)
class Listing:
    """What lies in a user's folder.

    Attributes:
        root: The folder.
        image_size: Side in pixels that every image will have.
        classes: Names of the class folders, sorted.
        train: Path and label of each image of the train part, by class and then by path.
        test: The same of the test part.
    """

    root: Path
    image_size: int
    classes: tuple[str, ...]
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...]


def scan(source: Source, say: Say = silent) -> Listing:
    """List a user's folder without opening an image.

    ``train/`` and ``test/`` inside are the two parts where both are there; else a stratified ``test_fraction`` of the
    images is the test part. Class folders are searched to any depth, through symbolic links, hidden names left out.

    Raises:
        DataError: The folder cannot be used; the text names what is wrong in it.
    """
    root, side = _checked(source)
    inside = {path.name for path in _folders(root)}
    if {"train", "test"} <= inside:
        if rest := inside - {"train", "test"}:
            say(f"{root} has train/ and test/: {', '.join(sorted(rest))} is not used")
        return _given_parts(root, side)
    if "train" in inside and inside - {"train"} <= _VALIDATION_NAMES:
        raise DataError(
            f"{root} has train/ but no test/: add test/ with the same class folders, or give data.path={root / 'train'}"
        )
    classes, images = _class_images(root)
    labels = torch.tensor([label for _, label in images])
    for name, count in zip(classes, torch.bincount(labels).tolist(), strict=True):
        if count == 1:
            say(f"class {name!r} in {root} has a single image: it is trained on, never validated or tested")
    parts = split(labels, source.test_fraction, source.split_seed)
    train, test = (tuple(images[i] for i in part.tolist()) for part in (parts.train, parts.validation))
    return Listing(root, side, classes, train, test)


def origin(source: Source, listing: Listing, part: Part) -> Origin:
    """What the prepared arrays of a part are made from: its files, their sizes and times, and how they are read."""
    files = tuple((*file_facts(path), label) for path, label in getattr(listing, part))
    choices = (listing.image_size, source.test_fraction, source.split_seed, source.skip_unreadable)
    identity = f"{listing.root.resolve()} {choices}"
    return Origin("folder", part, identity, (listing.classes, files))


def read(source: Source, listing: Listing, part: Part, say: Say) -> ImageSet:
    """Decode one part of a listing.

    Raises:
        DataError: An image cannot be read and may not be skipped; or nothing is left of a class, or of the part.
    """
    images: tuple[Labelled, ...] = getattr(listing, part)
    if not images:
        raise DataError(f"{listing.root} has no {part} images: raise data.test_fraction, now {source.test_fraction}")
    side = listing.image_size
    pixels = np.empty((len(images), 3, side, side), np.uint8)
    sound = np.ones(len(images), bool)
    for index, reason in _decode_all([path for path, _ in images], pixels, say):
        path = images[index][0]
        if not source.skip_unreadable:
            raise DataError(f"cannot read the image {path} ({reason}): data.skip_unreadable=true skips such images")
        say(f"skipped {path}: {reason}")
        sound[index] = False
    labels = np.array([label for _, label in images], np.int64)
    for label, name in enumerate(listing.classes):
        if (labels == label).any() and not (labels[sound] == label).any():
            raise DataError(f"no {part} image of class {name!r} in {listing.root} can be read")
    kept = pixels if sound.all() else pixels[sound]
    return ImageSet(torch.from_numpy(kept), torch.from_numpy(labels[sound]), listing.classes, int((~sound).sum()))


def identify(source: Source, root: Path, say: Say = silent) -> DataIdentity:
    """The identity of a user's folder; see ``data.identify``."""
    from data.decode import DECODER_VERSION

    listing = scan(source)
    parts = [
        (np.array([label for _, label in part], np.int64), _hashes([path for path, _ in part]))
        for part in (listing.train, listing.test)
    ]
    return DataIdentity("folder", listing.classes, DECODER_VERSION, *parts[0], *parts[1])


def _hashes(paths: list[Path]) -> np.ndarray:
    """(n, 16) uint8, a hash of each file's bytes; zeros for one that cannot be read."""

    def one(path: Path) -> bytes:
        try:
            return hashlib.blake2b(path.read_bytes(), digest_size=HASH_BYTES).digest()
        except OSError:
            return bytes(HASH_BYTES)

    with ThreadPoolExecutor(_MOST_THREADS) as pool:
        joined = b"".join(pool.map(one, paths))
    return np.frombuffer(joined, np.uint8).reshape(len(paths), HASH_BYTES)


def _checked(source: Source) -> tuple[Path, int]:
    if not source.path:
        raise DataError("data.name=folder needs data.path, the folder with your images")
    if source.image_size is None or source.image_size < 1:
        raise DataError(
            f"data.name=folder needs data.image_size, the side in pixels to resize to, at least 1: {source.image_size}"
        )
    root = Path(source.path).expanduser()
    if not root.exists():
        raise DataError(f"data.path {root} does not exist")
    if not root.is_dir():
        raise DataError(f"data.path {root} is not a folder")
    return root, source.image_size


def _given_parts(root: Path, side: int) -> Listing:
    classes, train = _class_images(root / "train")
    test_classes, test = _class_images(root / "test")
    if classes != test_classes:
        only = [
            f"only in {name}/: {', '.join(sorted(extra))}"
            for name, extra in (
                ("train", set(classes) - set(test_classes)),
                ("test", set(test_classes) - set(classes)),
            )
            if extra
        ]
        raise DataError(f"the classes of train/ and test/ in {root} differ: {'; '.join(only)}")
    return Listing(root, side, classes, tuple(train), tuple(test))


def _class_images(root: Path) -> tuple[tuple[str, ...], list[Labelled]]:
    """The classes of a folder and its images with their labels; every class has at least one image."""
    folders = _folders(root)
    if not folders:
        loose = sum(1 for _ in _images(root))
        found = f"{loose:,} images, but no folders" if loose else "no folders"
        raise DataError(f"{root} holds {found}: it needs one folder per class, with that class's images inside")
    if len(folders) == 1:
        raise DataError(f"{root} has a single class, {folders[0].name!r}: a classifier needs at least two")
    images: list[Labelled] = []
    empty = []
    for label, folder in enumerate(folders):
        paths = sorted(_images(folder))
        images += [(path, label) for path in paths]
        empty += [] if paths else [repr(folder.name)]
    if empty:
        raise DataError(f"no image in {root} for class {', '.join(empty)}: add some, or remove the folder")
    return tuple(folder.name for folder in folders), images


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot list {root}: {error.strerror}") from error


def _images(folder: Path) -> Iterator[Path]:
    """Every image below a folder. A link that leads back to a folder on the way down is not followed again."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and path.suffix.lower() in _image_suffixes():
                yield path


@cache
def _image_suffixes() -> frozenset[str]:
    """File name endings of every format that this Pillow opens."""
    from PIL import Image

    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def _decode_all(paths: list[Path], pixels: np.ndarray, say: Say) -> Iterator[tuple[int, str]]:
    """Decode images into ``pixels`` on a few threads, yielding position and reason of each that cannot be read."""
    from data.decode import UnreadableImageError, decode

    def one(index: int) -> str | None:
        try:
            pixels[index] = decode(paths[index], pixels.shape[-1])
        except UnreadableImageError as error:
            return str(error)
        return None

    told = monotonic()
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
    try:
        for index, reason in enumerate(pool.map(one, range(len(paths)))):
            if reason is not None:
                yield index, reason
            if monotonic() - told > _SAY_EVERY_SECONDS:
                told = monotonic()
                say(f"decoded {index + 1:,} of {len(paths):,} images")
    finally:
        pool.shutdown(cancel_futures=True)
