"""What the files of a downloadable dataset have in common, whichever way they are laid out on disk."""

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
    """A file that is not as published.

    Attributes:
        path: Where it lies or should lie.
        damage: What is wrong with it; None where it is simply missing.
    """

    path: Path
    damage: str | None = None


class Layout(Protocol):
    """The files of one dataset below a data folder, in torchvision's layout."""

    def present(self, root: Path) -> list[Path]:
        """The files there are, sorted: what prepared arrays are made from."""

    def faults(self, root: Path) -> list[Fault]:
        """Every file that is missing or damaged, after reading all that are there."""

    def complete(self, root: Path, *, online: bool, say: Say) -> None:
        """Bring every missing or damaged file to its published state, from what is on disk where possible.

        Raises:
            DownloadError: A file could not be downloaded, or ``online`` is False.
        """

    def read(self, root: Path, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Images (N, C, H, W) uint8 and labels (N,) int64 of one part, from files without faults."""


def check_md5(path: Path, md5: str) -> Fault | None:
    """The fault of one file that must be there with a published content, or None."""
    if not path.is_file():
        return Fault(path)
    if (found := md5_of(path)) != md5:
        return Fault(path, f"its md5 is {found}, the published one is {md5}")
    return None


def obtain(urls: Sequence[str], target: Path, md5: str, *, online: bool, say: Say) -> None:
    """Download ``target`` unless it is there as published.

    Raises:
        DownloadError: The file could not be downloaded, or ``online`` is False.
    """
    if check_md5(target, md5) is None:
        return
    if not online:
        raise DownloadError("downloading is switched off")
    download(urls, target, md5, say)
