"""Files are read again exactly when they were touched, and prepared copies follow the content."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data import Source, identify, load_train, load_train_with_identity
from data.folder import index, parts
from tests.data.folder.pictures import folder_of, source_of

TIME = (315532800, 315532800)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of one size in bytes and one time, as unpacked from an archive: their names and pixels alone differ."""
    return timeless(tmp_path / "images", first=10)


def timeless(folder: Path, first: int) -> Path:
    folder_of(folder, ("green", "red"), 6, first=first)
    for path in list(folder.rglob("*.png")):
        with path.open("r+b") as file:
            file.truncate(200)
        os.utime(path, TIME)
    return folder


def source(folder: Path) -> Source:
    return source_of(folder, test_fraction=0.0)


def reds(folder: Path, root: Path) -> list[list[int]]:
    """The shade of red of each training image, by class."""
    found = load_train(source(folder), root)
    return [found.images[found.labels == label, 0, 0, 0].tolist() for label in (0, 1)]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that are hashed from now on."""
    found: list[str] = []
    plain = index._hash

    def counted(path: str) -> bytes:
        found.append(path)
        return plain(path)

    monkeypatch.setattr(index, "_hash", counted)
    return found


def swap_classes(folder: Path) -> None:
    (folder / "green").rename(folder / "x")
    (folder / "red").rename(folder / "green")
    (folder / "x").rename(folder / "red")


def swap_files(folder: Path) -> None:
    (folder / "green" / "1.png").rename(folder / "x")
    (folder / "red" / "1.png").rename(folder / "green" / "1.png")
    (folder / "x").rename(folder / "red" / "1.png")


def unpack_over(folder: Path) -> None:
    other = timeless(folder.parent / "other", first=100)
    with tarfile.open(folder.parent / "x.tar", "w") as tar:
        tar.add(other, ".")
    with tarfile.open(folder.parent / "x.tar") as tar:
        tar.extractall(folder, filter="data")


def copy_over(folder: Path) -> None:
    shutil.copytree(timeless(folder.parent / "other", first=100), folder, dirs_exist_ok=True)


def overwrite_in_place(folder: Path) -> None:
    other = timeless(folder.parent / "other", first=100)
    path = folder / "red" / "3.png"
    with path.open("r+b") as file:
        file.write((other / "red" / "3.png").read_bytes())
    os.utime(path, TIME)


def retarget_link(folder: Path) -> None:
    other = timeless(folder.parent / "other", first=100)
    (folder / "red" / "3.png").unlink()
    (folder / "red" / "3.png").symlink_to(other / "red" / "3.png")


@pytest.mark.parametrize("settled", [0, index._SETTLED_NS])
@pytest.mark.parametrize(
    "change", [swap_classes, swap_files, unpack_over, copy_over, overwrite_in_place, retarget_link]
)
def test_other_content_of_equal_size_and_time_is_noticed(
    change: Callable[[Path], None], settled: int, images: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_SETTLED_NS", settled)
    before, digest = reds(images, root), identify(source(images), root).digest
    facts = {path.stat().st_size for path in images.rglob("*.png")}
    change(images)
    assert {path.stat().st_size for path in images.rglob("*.png")} == facts
    assert {path.stat().st_mtime for path in images.rglob("*.png")} == {TIME[0]}
    fresh = reds(images, root.parent / "fresh")
    assert fresh != before
    assert reds(images, root) == fresh
    assert identify(source(images), root).digest != digest


def test_known_files_are_not_read_again(
    images: Path, root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_SETTLED_NS", 0)
    first = identify(source(images), root)
    assert len(read) == 12
    os.utime(images / "red" / "1.png", (1, 1))
    assert identify(source(images), root).digest == first.digest
    assert read[12:] == [str(images / "red" / "1.png")]
    (images / "red" / "1.png").unlink()
    assert len(identify(source(images), root).train_labels) == 11
    assert len(read) == 13


def test_files_that_were_just_written_are_read_again(images: Path, root: Path, read: list[str]) -> None:
    """Another write within the same tick of the clock could not be told."""
    for _ in range(2):
        identify(source(images), root)
    assert len(read) == 24


def test_moved_images_find_their_prepared_copy(images: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reds(images, root)
    images.rename(images.parent / "elsewhere")
    monkeypatch.setattr("data.folder.decode.decode", None)
    assert reds(images.parent / "elsewhere", root) == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not an archive"])
def test_a_damaged_index_is_made_again(content: bytes, images: Path, root: Path) -> None:
    first = identify(source(images), root).digest
    (path,) = (root / "prepared").glob("index-*.npz")
    path.write_bytes(content)
    assert identify(source(images), root).digest == first
    assert np.load(path)["hashes"].shape == (12, 16)


def test_without_a_place_for_the_index_files_are_read_each_time(
    images: Path, root: Path, user_cache: Path, read: list[str]
) -> None:
    root.write_text("a file")
    (user_cache / "imagetune").write_text("a file")
    assert identify(source(images), root).digest == identify(source(images), root).digest
    assert len(read) == 24


def test_copies_of_the_former_format_give_way(images: Path, root: Path) -> None:
    load_train(source(images), root)
    (kept,) = (root / "prepared").glob("folder-train-*")
    former = kept.with_name("folder-train-0123456789abcdef")
    shutil.copytree(kept, former)
    (images / "red" / "1.png").unlink()
    load_train(source(images), root)
    assert not former.exists()
    assert not kept.exists()
    assert len(list((root / "prepared").glob("folder-train-*"))) == 1


def test_the_identity_comes_with_the_images(images: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = identify(source(images), root).digest
    calls = []

    def counting(given: Source) -> parts.Listing:
        calls.append(given)
        return scan(given)

    scan = parts.scan
    monkeypatch.setattr("data.folder.reading.scan", counting)
    found, identity = load_train_with_identity(source(images), root)
    assert identity.digest == expected
    assert len(identity.train_labels) == len(found.labels)
    assert len(calls) == 1
    assert load_train_with_identity(Source("digits"), root)[1].digest == identify(Source("digits"), root).digest
