"""The identity of a data set, by which a record recognizes whether the images are still those it was made with."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.untrusted import check_archive, parse_json
from data.words import counted, quoted, shortened

HASH_BYTES = 16
_MOST_NAMED = 12
_COMPRESSED = 100  # times: hashes, two thirds of all, cannot be compressed at all

Labels = NDArray[np.int64]
Hashes = NDArray[np.uint8]


def _no_labels() -> Labels:
    return np.empty(0, np.int64)


def _no_hashes() -> Hashes:
    return np.empty((0, HASH_BYTES), np.uint8)


@dataclass(frozen=True, eq=False)
class DataIdentity:
    """The classes and images of a data set, by content. Where the files are and what they are called is no part of it.

    Published data sets are checked against their checksums before they are used, so that their name is enough: they
    have no labels and hashes here.

    Attributes:
        name: The data set's name, ``folder`` for the user's own images.
        classes: Class names in the order of the labels.
        decoder: Version of the code that turns files into pixels.
        train_labels: (n,) int64, the training set in the order in which it is read (it includes validation).
        train_hashes: (n, 16) uint8, the hash of each image file's bytes.
        test_labels: (m,) int64, the test set likewise.
        test_hashes: (m, 16) uint8.
    """

    name: str
    classes: tuple[str, ...]
    decoder: int = 0
    train_labels: Labels = field(default_factory=_no_labels)
    train_hashes: Hashes = field(default_factory=_no_hashes)
    test_labels: Labels = field(default_factory=_no_labels)
    test_hashes: Hashes = field(default_factory=_no_hashes)

    @cached_property
    def digest(self) -> str:
        """32 hex digits, equal if and only if everything above is equal."""
        digest = hashlib.blake2b(self._head(), digest_size=16)
        for labels, hashes in self._parts():
            digest.update(len(labels).to_bytes(8, "little"))
            digest.update(labels.astype("<i8").tobytes())
            digest.update(hashes.tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """This value as a compressed NumPy archive, for ``from_bytes``."""
        (train_labels, train_hashes), (test_labels, test_hashes) = self._parts()
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            head=np.frombuffer(self._head(), np.uint8),
            train_labels=train_labels,
            train_hashes=train_hashes,
            test_labels=test_labels,
            test_hashes=test_hashes,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> DataIdentity:
        """The value that ``to_bytes`` was called on.

        Raises:
            ValueError: The bytes are something else, or damaged.
        """
        try:
            check_archive(content, times=_COMPRESSED)
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            name, classes, decoder = parse_json(arrays.pop("head").tobytes())
            return cls(name, tuple(classes), decoder, **arrays)
        except Exception as error:  # zipfile and NumPy raise whatever their parsers stumble on.
            raise ValueError(f"not a data identity: {error}") from error

    def changes(self, now: DataIdentity) -> list[str]:
        """What is different now, a sentence for each difference; empty if and only if the digests are equal.

        Args:
            now: The identity of the images as they are today.
        """
        if self.digest == now.digest:
            return []
        if self.name != now.name:
            return [f"the data set was {self.name} and is {now.name} now"]
        sentences = _class_changes(self, now) or _order_changes(self, now)
        if self.decoder != now.decoder:
            sentences.append("this version of imagetune reads some image files differently")
        return sentences or ["the data set is defined differently in this version of imagetune"]

    def _head(self) -> bytes:
        return json.dumps([self.name, self.classes, self.decoder]).encode()

    def _parts(self) -> tuple[tuple[Labels, Hashes], tuple[Labels, Hashes]]:
        return (self.train_labels, self.train_hashes), (self.test_labels, self.test_hashes)


Content = dict[str, Counter[bytes]]
"""Of each class, how often each image occurs in it."""


def _content(identity: DataIdentity, part: int | None = None) -> Content:
    """The images of each class, of one part (0 train, 1 test) or of both."""
    found: Content = {name: Counter() for name in identity.classes}
    for labels, hashes in identity._parts() if part is None else identity._parts()[part : part + 1]:
        rows = np.ascontiguousarray(hashes).view(f"V{HASH_BYTES}").ravel().tolist()
        for label, row in zip(labels.tolist(), rows, strict=True):
            found[identity.classes[label]][row] += 1
    return found


def _class_changes(before: DataIdentity, now: DataIdentity) -> list[str]:
    """Classes that came, went, or have another name; and by class, images that came, went, or moved."""
    old, new = _content(before), _content(now)
    came_from = _same_class(old, new)
    renamed = {name: source for name, source in came_from.items() if name != source}
    gone = [name for name in old if name not in came_from.values()]
    added = [name for name in new if name not in came_from]
    sentences = _renames(renamed)
    sentences += [f"class {quoted(name)} was removed ({_images(old[name].total())})" for name in gone]
    sentences += [f"class {quoted(name)} was added ({_images(new[name].total())})" for name in added]
    lost = {name: old[source] - new[name] for name, source in came_from.items()}
    gained = {name: new[name] - old[source] for name, source in came_from.items()}
    sentences += _moves(lost, gained)
    for name in came_from:
        more, fewer = gained[name].total(), lost[name].total()
        replaced = min(more, fewer)
        counts = {"replaced": replaced, "added": more - replaced, "removed": fewer - replaced}
        told = ", ".join(f"{_images(count)} {verb}" for verb, count in counts.items() if count)
        sentences += [f"class {quoted(name)}: {told}"] if told else []
    if not sentences and before.classes != now.classes:
        sentences.append(f"the order of the classes changed: {_named(before.classes)} became {_named(now.classes)}")
    return _cut(sentences)


def _same_class(old: Content, new: Content) -> dict[str, str]:
    """Of each class that was there before, under whatever name: its name now -> its name then.

    A class keeps its name unless most images of another one are now in it.
    """
    holder: dict[bytes, list[str]] = {}
    for name, images in old.items():
        for image in images:
            holder.setdefault(image, []).append(name)
    found: dict[str, str] = {}
    for name, images in new.items():
        shared = Counter(source for image in images for source in holder.get(image, ()))
        for source, count in shared.most_common(1):
            mostly = 2 * count > max(len(old[source]), len(images))
            if mostly and count > shared[name] and source not in found.values():
                found[name] = source
    for name in new:
        if name in old and name not in found and name not in found.values():
            found[name] = name
    return {name: found[name] for name in new if name in found}


def _renames(renamed: dict[str, str]) -> list[str]:
    sentences = []
    for name, source in renamed.items():
        if renamed.get(source) == name:
            if name < source:
                sentences.append(
                    f"classes {quoted(name)} and {quoted(source)} are swapped: each has the other's images"
                )
        elif source in renamed:
            sentences.append(f"class {quoted(name)} has the images that were in class {quoted(source)}")
        else:
            sentences.append(f"class {quoted(source)} was renamed to {quoted(name)}")
    return sentences


def _moves(lost: Content, gained: Content) -> list[str]:
    """Images that went from one class to another; they are taken out of what was lost and gained."""
    moved: Counter[tuple[str, str]] = Counter()
    place = {image: name for name, images in lost.items() for image in images}
    for name, images in gained.items():
        for image in list(images):
            source = place.get(image)
            if source is not None and source != name:
                count = min(images[image], lost[source][image])
                images[image] -= count
                lost[source][image] -= count
                moved[source, name] += count
    return [
        f"{_images(count)} moved from class {quoted(source)} to class {quoted(name)}"
        for (source, name), count in moved.items()
        if count
    ]


def _order_changes(before: DataIdentity, now: DataIdentity) -> list[str]:
    """Sentences for images that are the same, class by class, but are read in another order or in another part."""
    came_from = _same_class(_content(before), _content(now))
    old_test, new_test = _content(before, 1), _content(now, 1)
    moved = sum((new_test[name] - old_test[source]).total() for name, source in came_from.items())
    back = sum((old_test[source] - new_test[name]).total() for name, source in came_from.items())
    if moved or back:
        return [
            f"the same images, but split differently: {_images(moved)} moved from the training set to the test set and "
            f"{back:,} the other way (files were renamed or moved, or data.test_fraction or data.split_seed changed)"
        ]
    same_order = all(
        np.array_equal(then, today)
        for (_, then), (_, today) in zip(before._parts(), now._parts(), strict=True)
    )  # fmt: skip
    if same_order or before.classes != now.classes:
        return []
    return ["the same images under other file names, so they are split differently"]


def _images(count: int) -> str:
    return counted(count, "image")


def _named(names: Iterable[str]) -> str:
    """Names in quotes, the first few of many."""
    return shortened(map(quoted, names), _MOST_NAMED)


def _cut(sentences: list[str]) -> list[str]:
    """The first few of many sentences about classes."""
    if len(sentences) <= _MOST_NAMED:
        return sentences
    return [*sentences[:_MOST_NAMED], f"and {counted(len(sentences) - _MOST_NAMED, 'more class')} changed"]
