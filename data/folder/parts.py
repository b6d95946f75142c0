"""Which classes a user's folder has, and which images belong to them and to the training and test sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data.errors import DataError
from data.folder.listing import LeftOut, folders_in, images_below
from data.folder.notes import folded, same_folders_inside, similar_names, told_apart, untested
from data.folder.roles import MOST_NAMED, has_folders, part_folders, role_of
from data.identity import Labels
from data.splits import split
from data.values import Part, Source
from data.words import counted, is_text, listed, printable, quoted, shortened


@dataclass(frozen=True)
class Listing:
    """What lies in a user's folder.

    Attributes:
        root: The folder.
        classes: Names of the class folders, sorted.
        paths: Of each image, its path below ``root``: by class and then by path; where the user has divided the
            images, those of the training set come first.
        labels: (n,) int64, positions in ``classes``.
        train: Positions in ``paths`` of the training set, sorted.
        test: The same of the test set.
        notes: What the user should know, a sentence each.
    """

    root: Path
    classes: tuple[str, ...]
    paths: list[str]
    labels: Labels
    train: Labels
    test: Labels
    notes: tuple[str, ...]

    def positions(self, part: Part) -> Labels:
        """Positions in ``paths`` of the images of one part."""
        return self.train if part == "train" else self.test


def scan(source: Source) -> Listing:
    """List a user's folder without opening an image.

    Where the folder has one folder for training and one for testing, in any usual spelling (``train``, ``Training``,
    ``test_set``), they are the sets, with class folders inside; the test set may lack some of the classes. Else every
    folder is a class, and a stratified ``test_fraction`` of the images is the test set, which is empty where every
    class has one image. Class folders are searched to any depth, through symbolic links; hidden names are left out.

    Raises:
        DataError: The folder cannot be used; the text names what is wrong in it and what to do.
    """
    root = _checked(source)
    left = LeftOut()
    notes: list[str] = []
    folders = folders_in(str(root), "", left)
    _check_names(root, folders)
    parts = part_folders(root, folders, notes)
    if parts:
        classes, paths, labels, in_train = _given_parts(root, parts, left)
        train, test = np.arange(in_train), np.arange(in_train, len(paths))
    else:
        classes, paths, labels = _class_images(root, "", folders, left)
        _check_no_parts_inside(root, paths)
        train, test = _carve(root, labels, source, notes)
    _check_names(root, paths)
    notes += untested(root, classes, labels[test])
    notes += similar_names(root, classes)
    notes += [] if parts else same_folders_inside(root, classes, paths)
    if text := left.text():
        notes.append(f"not used in {root}: {text}")
    return Listing(root, classes, paths, labels, train, test, tuple(notes))


def _checked(source: Source) -> Path:
    if not source.path:
        raise DataError("data.path is required with data.name=folder: the folder with your images")
    _check_names(Path("data.path"), [source.path])
    if source.image_size is None or source.image_size < 1:
        raise DataError(
            "data.image_size is required with data.name=folder: the side in pixels to resize images to, at least 1 "
            f"(got {source.image_size})"
        )
    root = Path(source.path).expanduser()
    if not root.exists():
        raise DataError(f"data.path {root} does not exist; use data.path=FOLDER if the images are somewhere else now")
    if not root.is_dir():
        raise DataError(f"data.path {root} is not a folder; use data.path=FOLDER with one folder per class")
    return root


def _check_names(root: Path, paths: list[str]) -> None:
    """Refuse names that are not UTF-8: they could be neither printed nor recorded."""
    wrong = [path for path in paths if not is_text(path)]
    if wrong:
        raise DataError(
            f"{counted(len(wrong), 'name')} in {root} cannot be read as UTF-8: "
            f"{shortened(map(printable, wrong), MOST_NAMED)}; rename them (convmv does it for whole folders)"
        )


def _given_parts(root: Path, parts: tuple[str, str], left: LeftOut) -> tuple[tuple[str, ...], list[str], Labels, int]:
    """Classes, paths and labels of images that the user has divided, and how many of them are the training set."""
    train_folders, test_folders = (folders_in(str(root / part), f"{part}/", left) for part in parts)
    classes, train, train_labels = _class_images(root, f"{parts[0]}/", train_folders, left)
    _check_test_classes(root, parts, train_folders, test_folders)
    test_part = f"{parts[1]}/"
    images = [images_below(str(root), test_part + name, left) if name in test_folders else [] for name in train_folders]
    test, test_labels = _labelled(images)
    if not test:
        found = f" (not used: {text})" if (text := left.text()) else ""
        raise DataError(
            f"no image in {root / parts[1]}{found}; add some, or use data.path={root / parts[0]} to split a test set "
            "off it"
        )
    return classes, train + test, np.concatenate([train_labels, test_labels]), len(train)


def _check_test_classes(root: Path, parts: tuple[str, str], trained: list[str], tested: list[str]) -> None:
    """Refuse classes that have a folder in the test set only."""
    train, test = parts
    if not (unknown := [name for name in tested if name not in trained]):
        return
    alike = {folded(name): name for name in trained}
    if pairs := [listed(told_apart([alike[folded(name)], name])) for name in unknown if folded(name) in alike]:
        raise DataError(
            f"class folders of {train}/ and {test}/ in {root} differ only in upper and lower case or in Unicode form: "
            f"{shortened(pairs, MOST_NAMED)}; give them the same name"
        )
    raise DataError(
        f"{test}/ in {root} has classes that {train}/ does not have: {shortened(map(quoted, unknown), MOST_NAMED)}; "
        f"add them to {train}/, or remove them from {test}/"
    )


def _class_images(
    root: Path, prefix: str, folders: list[str], left: LeftOut
) -> tuple[tuple[str, ...], list[str], Labels]:
    """The classes of a folder, and its images with their labels; every class has at least one image."""
    place = root / prefix
    if not folders:
        found = f"only {text}" if (text := left.text()) else "nothing"
        raise DataError(f"{place} has no class folders ({found}); it needs one folder per class with its images")
    if len(folders) == 1:
        hint = f"; if its folders are the classes, use data.path={place / folders[0]}"
        raise DataError(
            f"{place} has a single class, {quoted(folders[0])}; a classifier needs at least two"
            f"{hint if has_folders(place / folders[0]) else ''}"
        )
    images = [images_below(str(root), prefix + name, left) for name in folders]
    if empty := [quoted(name) for name, paths in zip(folders, images, strict=True) if not paths]:
        found = f" (not used: {text})" if (text := left.text()) else ""
        raise DataError(
            f"no image in {place} for class {shortened(empty, MOST_NAMED)}{found}; add some, or remove the folder"
        )
    return tuple(folders), *_labelled(images)


def _labelled(images: list[list[str]]) -> tuple[list[str], Labels]:
    """The images of all classes one after the other, and their labels."""
    labels = np.repeat(np.arange(len(images), dtype=np.int64), [len(paths) for paths in images])
    return [path for paths in images for path in paths], labels


def _check_no_parts_inside(root: Path, paths: list[str]) -> None:
    """Refuse class folders with folders for training and testing inside: these would be mixed."""
    inner: dict[str, dict[str, str]] = {}
    for name, folder in {tuple(path.split("/")[:2]) for path in paths if path.count("/") > 1}:
        if role := role_of(folder):
            inner.setdefault(name, {})[role] = folder
    for name, roles in sorted(inner.items()):
        if {"train", "test"} <= roles.keys():
            raise DataError(
                f"class folder {quoted(name)} in {root} has {roles['train']}/ and {roles['test']}/ inside; put "
                f"them outside, as train/{name}/ and test/{name}/"
            )


def _carve(root: Path, labels: Labels, source: Source, notes: list[str]) -> tuple[Labels, Labels]:
    """Take a test set; smaller than asked for where classes are small, as each keeps an image to train on."""
    total, fraction = len(labels), source.test_fraction
    wanted, room = round(fraction * total), total - len(np.unique(labels))
    if fraction and not room:
        notes.append(f"no test images in {root}: each class has one image, which is needed for training")
        return np.arange(total), np.arange(0)
    if wanted > room and fraction < 1:
        notes.append(
            f"{counted(room, 'test image')} in {root} instead of {wanted:,} (data.test_fraction={fraction}): each "
            "class keeps an image for training"
        )
        fraction = room / total
    try:
        parts = split(torch.from_numpy(labels), fraction, source.split_seed)
    except DataError as error:
        raise DataError(f"no test set can be split off {root} (data.test_fraction): {error}") from error
    return parts.train.numpy(), parts.validation.numpy()
