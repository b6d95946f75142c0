"""What a data set is: equal for the same images wherever they lie, and what changed otherwise, in plain sentences."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import DataIdentity, Source, identify
from tests.data.folder.pictures import folder_of, picture, source_of

CLASSES = ("blue", "green", "red")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "images", CLASSES)


def identity_of(folder: Path, root: Path) -> DataIdentity:
    return identify(source_of(folder), root)


def swap(folder: Path) -> None:
    (folder / "red").rename(folder / "x")
    (folder / "green").rename(folder / "red")
    (folder / "x").rename(folder / "green")


def rename_files(folder: Path) -> None:
    for name in CLASSES:
        for number in range(5):
            (folder / name / f"{number}.png").rename(folder / name / f"z{9 - number}.png")


def add_images(folder: Path) -> None:
    for number in range(2):
        picture(folder / "red" / f"new {number}.png", grey=200 + number)


def many_classes(folder: Path) -> None:
    for number in range(30):
        picture(folder / f"class {number:02}" / "1.png", grey=220 + number)


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (lambda folder: (folder / "blue").rename(folder / "zblue"), ["class 'blue' was renamed to 'zblue'"]),
        (swap, ["classes 'green' and 'red' are swapped: each has the other's images"]),
        (lambda folder: shutil.rmtree(folder / "green"), ["class 'green' was removed (5 images)"]),
        (lambda folder: picture(folder / "cyan" / "1.png", grey=240), ["class 'cyan' was added (1 image)"]),
        (add_images, ["class 'red': 2 images added"]),
        (lambda folder: (folder / "red" / "3.png").unlink(), ["class 'red': 1 image removed"]),
        (lambda folder: picture(folder / "red" / "3.png", grey=99), ["class 'red': 1 image replaced"]),
        (
            lambda folder: (folder / "red" / "3.png").rename(folder / "blue" / "7.png"),
            ["1 image moved from class 'red' to class 'blue'"],
        ),
    ],
)
def test_what_changed_is_told(change: Callable[[Path], object], sentences: list[str], images: Path, root: Path) -> None:
    before = identity_of(images, root)
    change(images)
    now = identity_of(images, root)
    assert now.digest != before.digest
    assert before.changes(now) == sentences


def test_renamed_files_are_divided_otherwise(images: Path, root: Path) -> None:
    before = identity_of(images, root)
    rename_files(images)
    (sentence,) = before.changes(identity_of(images, root))
    assert "split differently" in sentence


def test_moved_images_are_the_same(images: Path, root: Path, tmp_path: Path) -> None:
    before = identity_of(images, root)
    images.rename(tmp_path / "elsewhere")
    now = identity_of(tmp_path / "elsewhere", root)
    assert (now.digest, before.changes(now)) == (before.digest, [])


def test_many_changes_are_cut_short(images: Path, root: Path) -> None:
    before = identity_of(images, root)
    many_classes(images)
    sentences = before.changes(identity_of(images, root))
    assert len(sentences) == 13
    assert sentences[-1] == "and 18 more classes changed"


def test_published_sets_differ_by_name(root: Path) -> None:
    digits, mnist = (identify(Source(name), root) for name in ("digits", "mnist"))
    assert digits.digest == identify(Source("digits"), root / "elsewhere").digest
    assert digits.changes(mnist) == ["the data set was digits and is mnist now"]
    assert not root.exists()


@st.composite
def identities(draw: st.DrawFn) -> DataIdentity:
    """Small data sets over few contents, so that equal ones and all kinds of changes turn up."""
    names = draw(st.permutations(["a", "b", "c", "é"]))[: draw(st.integers(1, 4))]
    parts: list[Any] = []
    for _ in range(2):
        images = draw(st.lists(st.tuples(st.integers(0, len(names) - 1), st.integers(0, 5)), max_size=6))
        parts.append(np.array([label for label, _ in images], np.int64))
        parts.append(np.array([[content] * 16 for _, content in images], np.uint8).reshape(-1, 16))
    return DataIdentity("folder", tuple(names), draw(st.integers(1, 2)), *parts)


@given(identities(), identities())
def test_equal_digests_mean_equal_data_and_no_changes(one: DataIdentity, other: DataIdentity) -> None:
    for left, right in ((one, other), (one, DataIdentity.from_bytes(one.to_bytes()))):
        equal = left.classes == right.classes and left.decoder == right.decoder and all(
            np.array_equal(getattr(left, name), getattr(right, name))
            for name in ("train_labels", "train_hashes", "test_labels", "test_hashes")
        )  # fmt: skip
        assert (left.digest == right.digest) == equal
        assert bool(left.changes(right)) == (not equal)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100])
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a data identity"):
        DataIdentity.from_bytes(content)
