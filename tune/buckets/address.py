"""A folder in S3 and its mirror on this machine. Each follows from the other, so nothing has to be remembered.

`s3://bucket/folder` is mirrored in the user's cache folder, in `imagetune/s3/bucket/folder`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

SCHEME = "s3://"


def root() -> Path:
    """Where the mirrors are, links followed."""
    return _root(os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))


@lru_cache
def _root(cache: str) -> Path:
    return Path(os.path.realpath(cache)) / "imagetune" / "s3"


def url_of(path: Path) -> str | None:
    """The URL of what a path mirrors; None for any other path."""
    absolute, place = os.path.abspath(path), f"{root()}/"
    return f"{SCHEME}{absolute[len(place) :]}" if absolute.startswith(place) else None


def shown(text: object) -> str:
    """A text for people, or for a file that others read: with URLs instead of the paths of mirrors."""
    return str(text).replace(f"{root()}/", SCHEME)
