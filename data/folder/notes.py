"""What a user should know about the classes of a folder, a sentence each: slips more often than intended."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np

from data.folder.roles import MOST_NAMED
from data.identity import Labels
from data.words import listed, quoted, shortened


def untested(root: Path, classes: tuple[str, ...], tested: Labels) -> list[str]:
    """A note on classes without test images, where others have some."""
    counts = np.bincount(tested, minlength=len(classes)).tolist()
    names = [quoted(name) for name, count in zip(classes, counts, strict=True) if not count]
    if not names or len(names) == len(classes):
        return []
    return [f"classes without test images in {root}: {shortened(names, MOST_NAMED)}; they cannot be evaluated"]


def folded(name: str) -> str:
    """Equal for names that differ only in case or in Unicode form."""
    return unicodedata.normalize("NFKC", name).casefold()


def told_apart(names: list[str]) -> list[str]:
    """Names in quotes, with what is not ASCII as escapes where they would look the same."""
    alike = len({unicodedata.normalize("NFC", name) for name in names}) < len(names)
    return [ascii(name) if alike else quoted(name) for name in names]


def similar_names(root: Path, classes: tuple[str, ...]) -> list[str]:
    """A note on classes whose names look the same."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(folded(name), []).append(name)
    pairs = [listed(told_apart(names)) for names in alike.values() if len(names) > 1]
    if not pairs:
        return []
    return [
        f"classes in {root} differ only in upper and lower case or in Unicode form: {shortened(pairs, MOST_NAMED)}; "
        "if they are the same class, merge them"
    ]


def same_folders_inside(root: Path, classes: tuple[str, ...], paths: list[str]) -> list[str]:
    """A note on classes that all have the same folders inside, and images only there: those may be the classes."""
    inner: dict[str, set[str]] = {name: set() for name in classes}
    for path in paths:
        name, *folders = path.split("/")[:-1]
        inner[name].add(folders[0] if folders else "")
    names = inner[classes[0]]
    if len(names) < 2 or "" in names or any(others != names for others in inner.values()):
        return []
    return [
        f"every class of {root} ({shortened(map(quoted, classes))}) has the same folders inside "
        f"({shortened(map(quoted, sorted(names)))}); if those are the classes, rename the folders around them to "
        "train/ and test/"
    ]
