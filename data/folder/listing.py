"""The image files below a folder, and a count of everything there that is left out."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from data.errors import DataError
from data.words import counted, printable, shortened

LOOSE = ("image outside the class folders", "images outside the class folders")
BROKEN = ("broken link", "broken links")
CIRCULAR = ("link to a parent folder or to one already read", "links to parent folders or to ones already read")
THUMBNAILS = ("folder named like an image", "folders named like images")
SPECIAL = ("device, pipe or socket", "devices, pipes or sockets")

_SYSTEM_NAMES = frozenset((
    "@eadir", "@recently-snapshot", "@recycle", "@sharebin", "@tmp", "#recycle", "#snapshot", "$recycle.bin",
    "__macosx", "desktop.ini", "ehthumbs.db", "icon\r", "lost+found", "system volume information", "thumbs.db",
))  # fmt: skip


@dataclass
class LeftOut:
    """What lies in a folder of images and is not used.

    Attributes:
        endings: Number of files that are not images, by the lower-case ending of their names.
        paths: Other things by what they are, as ``LOOSE``: their paths below the folder.
        hidden: Number of hidden entries, and of those that desktop and storage systems make.
    """

    endings: Counter[str] = field(default_factory=Counter)
    paths: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    hidden: int = 0

    def add(self, kind: tuple[str, str], path: str) -> None:
        """Count one thing that is not used."""
        self.paths.setdefault(kind, []).append(printable(path))

    def text(self) -> str:
        """All of it, as in "12 files of unsupported types (8 .heic, 4 .txt), 1 broken link (cats)"; may be empty."""
        told = []
        if count := self.endings.total():
            listed = [
                f"{n:,} {ending or 'without extension'}" for ending, n in sorted(self.endings.items(), key=_by_count)
            ]
            kinds = counted(count, "file of an unsupported type", "files of unsupported types")
            told.append(f"{kinds} ({shortened(listed, 5)})")
        for kind, paths in self.paths.items():
            told.append(f"{counted(len(paths), *kind)} ({shortened(sorted(paths))})")
        if self.hidden:
            told.append(counted(self.hidden, "hidden or system file or folder", "hidden or system files or folders"))
        return ", ".join(told)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def entries(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name.

    Raises:
        DataError: It cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}") from error


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a desktop, an archive tool or a network storage has made."""
    return name.startswith((".", "~$")) or name.lower() in _SYSTEM_NAMES


def ending(name: str) -> str:
    """The lower-case ending of a file name with its dot, or nothing."""
    return os.path.splitext(name)[1].lower()


@cache
def image_endings() -> frozenset[str]:
    """File name endings of every format that this Pillow opens."""
    from PIL import Image

    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def folders_in(folder: str, shown: str, left: LeftOut) -> list[str]:
    """Names of the folders in a folder, sorted; links to folders count, unless they lead to it or above it.

    Args:
        folder: Where to look.
        shown: Its path below the user's folder with a slash at the end, or nothing for that folder itself.
        left: Counts everything else that lies there.
    """
    found = []
    for entry in entries(folder):
        if is_system(entry.name):
            left.hidden += 1
        elif entry.is_dir():
            if entry.is_symlink() and _leads_up(entry.path, os.path.realpath(folder)):
                left.add(CIRCULAR, shown + entry.name)
            else:
                found.append(entry.name)
        elif is_image(entry, shown, left):
            left.add(LOOSE, shown + entry.name)
    return found


def images_below(root: str, start: str, left: LeftOut) -> list[str]:
    """Paths below ``root`` of all images in the folder ``start``, at any depth, sorted part by part.

    A link to a folder is followed, unless that folder contains it, contains ``root``, or has been read already.

    Args:
        root: The user's folder.
        start: A folder below it, as a path relative to it.
        left: Counts what is left out.
    """
    found: list[str] = []
    seen: set[str] = set()
    real_root = os.path.realpath(root)

    def search(place: str, real: str) -> None:
        seen.add(real)
        links = []
        for entry in entries(os.path.join(root, place)):
            path = f"{place}/{entry.name}"
            if is_system(entry.name):
                left.hidden += 1
            elif entry.is_dir():
                if ending(entry.name) in image_endings():
                    left.add(THUMBNAILS, path)
                elif entry.is_symlink():
                    links.append(path)
                else:
                    search(path, os.path.join(real, entry.name))
            elif is_image(entry, f"{place}/", left):
                found.append(path)
        for path in links:  # After the real folders, so that which of two ways to a folder counts is no chance.
            target = os.path.realpath(os.path.join(root, path))
            if target in seen or _leads_up(target, real) or _leads_up(target, real_root):
                left.add(CIRCULAR, path)
            else:
                search(path, target)

    search(start, os.path.realpath(os.path.join(root, start)))
    return sorted(found, key=lambda path: path.split("/"))


def is_image(entry: os.DirEntry[str], shown: str, left: LeftOut) -> bool:
    """Whether what is not a folder is an image by its name; a broken link of that name is one that cannot be read."""
    if entry.is_file():
        if ending(entry.name) in image_endings():
            return True
        left.endings[printable(ending(entry.name))] += 1
    elif entry.is_symlink() and not os.path.exists(entry.path):
        if ending(entry.name) in image_endings():
            return True
        left.add(BROKEN, shown + entry.name)
    else:
        left.add(SPECIAL, shown + entry.name)
    return False


def _leads_up(link: str, here: str) -> bool:
    """Whether a link leads to the folder ``here`` or to one that contains it."""
    target = os.path.realpath(link)
    return os.path.commonpath([target, here]) == target
