"""Files of a published data set: what every layout on disk must provide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from data.files import md5_of
from data.published.download import DownloadError, download
from data.values import Part, Say


@dataclass(frozen=True)
class Fault:
    """A file that is missing or differs from the published one.

    Attributes:
        path: The file.
        damage: What is wrong with it; None if it is missing.
    """

    path: Path
    damage: str | None = None


class Layout(Protocol):
    """The files of a data set in a data folder, in torchvision's layout."""

    def present(self, root: Path) -> list[Path]:
        """The files that exist, sorted."""

    def faults(self, root: Path) -> list[Fault]:
        """All files that are missing or damaged; verifies those that exist."""

    def complete(self, root: Path, *, online: bool, say: Say) -> None:
        """Restore all missing or damaged files, from other files on disk if possible.

        Raises:
            DownloadError: A file could not be downloaded, or ``online`` is False.
        """

    def read(self, root: Path, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Images (N, C, H, W) uint8 and labels (N,) int64 of a part, from files without faults."""


def check_md5(path: Path, md5: str) -> Fault | None:
    """The fault of a file with a published md5; None if it is intact."""
    if not path.is_file():
        return Fault(path)
    if (found := md5_of(path)) != md5:
        return Fault(path, f"its md5 is {found} instead of {md5}")
    return None


def obtain(urls: Sequence[str], target: Path, md5: str, *, online: bool, say: Say) -> None:
    """Download ``target`` unless it is there and intact.

    Raises:
        DownloadError: The file could not be downloaded, or ``online`` is False.
    """
    if check_md5(target, md5) is None:
        return
    if not online:
        raise DownloadError("downloads are disabled")
    download(urls, target, md5, say)
