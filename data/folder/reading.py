"""The user's images as prepared arrays, and as an identity by content."""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from data import store
from data.arrays import Batch, Recipe
from data.errors import DataError
from data.files import cores, one_at_a_time
from data.folder.index import content_hashes
from data.folder.parts import Listing, scan
from data.identity import HASH_BYTES, DataIdentity, Hashes
from data.store import Origin
from data.values import MAX_PIXELS, ImageSet, Part, Progress, Say, Source, Unreadable
from data.words import counted, noun, quoted, shortened

_BATCH_BYTES = 1 << 20
_MOST_PER_BATCH = 64
_MOST_NAMED = 20
_PARTS: tuple[Part, Part] = ("train", "test")

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class _Images:
    """A user's folder as it is now: what is listed, and the hash of each file."""

    listing: Listing
    hashes: Hashes


def _look(source: Source, root: Path, say: Say) -> _Images:
    listing = scan(source)
    return _Images(listing, content_hashes(listing.root, listing.paths, root, say))


def identify(source: Source, root: Path, say: Say) -> DataIdentity:
    """The identity of a user's folder; see ``data.identify``."""
    return _identity(_look(source, root, say))


def _identity(found: _Images) -> DataIdentity:
    from data.folder.decode import DECODER_VERSION

    listing = found.listing
    train, test = ((listing.labels[i], found.hashes[i]) for i in (listing.train, listing.test))
    return DataIdentity("folder", listing.classes, DECODER_VERSION, *train, *test)


def load(source: Source, root: Path, part: Part, say: Say) -> tuple[ImageSet, DataIdentity]:
    """One part of a user's folder, which may be empty if it is the test set; and the identity of the whole folder.

    Both are prepared, so that images that cannot be read are all known at once.

    Raises:
        DataError: The folder cannot be used; or images cannot be read and may not be skipped; or nothing is left of a
            class.
    """
    found = _look(source, root, say)
    listing = found.listing
    for note in listing.notes:
        say(note)
    sets = {each: _prepared(source, found, each, root, say) for each in _PARTS if len(listing.positions(each))}
    unreadable = {
        int(listing.positions(each)[position]): reason
        for each, images in sets.items()
        for position, reason in images.unreadable
    }
    for note in _repeated(found, unreadable):
        say(note)
    if unreadable:
        _tell_unreadable(source, listing, [(listing.paths[i], why) for i, why in sorted(unreadable.items())], say)
    if part not in sets:
        return _no_images(source, listing), _identity(found)
    present = np.bincount(sets[part].labels.numpy(), minlength=len(listing.classes))
    listed = np.bincount(listing.labels[listing.positions(part)], minlength=len(listing.classes))
    if lost := [quoted(listing.classes[label]) for label in np.flatnonzero((listed > 0) & (present == 0))]:
        raise DataError(f"no {part} image of class {shortened(lost)} in {listing.root} can be read; replace them")
    return replace(sets[part], files=_files(listing, part, sets[part])), _identity(found)


def _files(listing: Listing, part: Part, images: ImageSet) -> list[str]:
    left_out = {position for position, _ in images.unreadable}
    places = enumerate(listing.positions(part).tolist())
    return [listing.paths[i] for position, i in places if position not in left_out]


def _no_images(source: Source, listing: Listing) -> ImageSet:
    side = source.image_size or 0
    images = torch.empty((0, 3, side, side), dtype=torch.uint8)
    return ImageSet(images, torch.empty(0, dtype=torch.int64), listing.classes)


def _tell_unreadable(source: Source, listing: Listing, unreadable: list[tuple[str, str]], say: Say) -> None:
    """Name images that cannot be read: all together, in an error or, where they may be skipped, in a message."""
    count = f"{len(unreadable):,} of {counted(len(listing.paths), 'image')} in {listing.root}"
    lines = [f"  {path}: {reason}" for path, reason in unreadable[:_MOST_NAMED]]
    if len(unreadable) > _MOST_NAMED:
        lines.append(f"  and {len(unreadable) - _MOST_NAMED:,} more")
    if source.skip_unreadable:
        for line in [f"skipped {count}, which cannot be read:", *lines]:
            say(line)
        return
    advice = "replace or remove them, or set data.skip_unreadable=true to leave them out"
    raise DataError(f"cannot read {count}:", *lines, advice)


def _repeated(found: _Images, unreadable: Container[int]) -> Iterator[str]:
    """Notes on images of the same content in both parts, or in several classes; damaged files are no images."""
    listing, nothing = found.listing, bytes(HASH_BYTES)  # `nothing`: the hash of a file that cannot be opened
    hashes = found.hashes.view(f"V{HASH_BYTES}").ravel().tolist()
    rows = {i: row for i, row in enumerate(hashes) if row != nothing and i not in unreadable}
    trained = {rows[i]: i for i in listing.train.tolist()[::-1] if i in rows}
    twice = [(i, trained[rows[i]]) for i in listing.test.tolist() if i in rows and rows[i] in trained]
    if twice:
        test, train = (listing.paths[i] for i in twice[0])
        yield (
            f"{len(twice):,} of {counted(len(listing.test), 'test image')} in {listing.root} "
            f"{noun(len(twice), 'is', 'are')} in the training set too ({test} is the same as {train}), which makes "
            "test results too good; remove the duplicates"
        )
    labels = listing.labels.tolist()
    first: dict[bytes, int] = {}
    conflicts: dict[bytes, int] = {}
    for i, row in rows.items():
        if labels[first.setdefault(row, i)] != labels[i]:
            conflicts.setdefault(row, i)
    if conflicts:
        row, i = next(iter(conflicts.items()))
        yield (
            f"{counted(len(conflicts), 'image is', 'images are')} in more than one class of "
            f"{listing.root} ({listing.paths[first[row]]} is the same as {listing.paths[i]}); remove the wrong ones"
        )


def _origin(source: Source, found: _Images, part: Part) -> Origin:
    """What the prepared arrays of a part are made from: the content of its files, and how they are read."""
    from data.folder.decode import DECODER_VERSION

    listing, positions = found.listing, found.listing.positions(part)
    content = hashlib.sha256(listing.labels[positions].astype("<i8").tobytes() + found.hashes[positions].tobytes())
    # The words that copies of an earlier format have too, so that they are removed.
    choices = (source.image_size, source.test_fraction, source.split_seed, source.skip_unreadable)
    limit = "" if source.max_pixels == MAX_PIXELS else f" {source.max_pixels}"
    facts = (listing.classes, content.hexdigest(), DECODER_VERSION, source.image_size, source.max_pixels)
    return Origin("folder", part, f"{listing.root.resolve()} {choices}{limit}", facts)


def _prepared(source: Source, found: _Images, part: Part, root: Path, say: Say) -> ImageSet:
    """The prepared arrays of a part, made if there are none."""
    origin = _origin(source, found, part)
    if images := store.fetch(origin, root, lambda message: None):
        return images
    with one_at_a_time(store.homes(root), source.name, say) as alone:
        if images := store.fetch(origin, root, say):
            return images
        side = source.image_size or 0
        labels = found.listing.labels[found.listing.positions(part)]

        def read(start: int) -> Iterator[Batch]:
            yield from _read(source, found, part, start, say)
            _check_unchanged(found, root, say)

        recipe = Recipe((3, side, side), labels, found.listing.classes, read)
        return store.build(origin, recipe, root, say, alone=alone)


def _read(source: Source, found: _Images, part: Part, start: int, say: Say) -> Iterator[Batch]:
    """Decode one part of a listing from a position on, on all cores, in order and with few images in memory.

    In threads, as Pillow decodes and resizes without Python's lock; processes would import the user's main module.
    """
    listing, positions = found.listing, found.listing.positions(part)
    paths = [listing.root / listing.paths[i] for i in positions.tolist()]
    side = source.image_size or 0
    size = max(1, min(_MOST_PER_BATCH, _BATCH_BYTES // (3 * side * side)))
    progress = Progress("decoded", len(paths), say, start)
    ranges = [range(i, min(i + size, len(paths))) for i in range(start, len(paths), size)]
    with contextlib.ExitStack() as stack:
        pool = ThreadPoolExecutor(cores())
        stack.callback(pool.shutdown, cancel_futures=True)
        for batch in _in_order(pool, lambda chosen: _decode_batch(paths, chosen, side, source), ranges, 4 * cores()):
            yield batch
            progress.advance(len(batch.images) + len(batch.unreadable))


def _check_unchanged(found: _Images, root: Path, say: Say) -> None:
    """Refuse what was decoded if another process has written to the files meanwhile."""
    listing = found.listing
    changed = (content_hashes(listing.root, listing.paths, root, say) != found.hashes).any(1)
    if changed.any():
        path = listing.root / listing.paths[int(np.flatnonzero(changed)[0])]
        raise DataError(f"{path} changed while the images were read; run the command again when nothing writes to them")


def _in_order(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Results in the order of the items; unlike ``pool.map``, at most ``ahead`` are computed early."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _decode_batch(paths: list[Path], chosen: range, side: int, source: Source) -> Batch:
    from data.folder.decode import UnreadableImageError, decode

    pixels = np.empty((len(chosen), 3, side, side), np.uint8)
    unreadable: list[Unreadable] = []
    for i in chosen:
        try:
            pixels[i - chosen.start - len(unreadable)] = decode(paths[i], side, max_pixels=source.max_pixels)
        except UnreadableImageError as error:
            if isinstance(error.__cause__, MemoryError):  # The file may be sound.
                raise DataError(f"out of memory while reading {paths[i]}") from error
            unreadable.append((i, str(error)))
    return Batch(pixels[: len(chosen) - len(unreadable)], chosen.stop, tuple(unreadable))
