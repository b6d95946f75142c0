"""Files that are complete whenever they exist, also after a crash."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from data.files import sync_folder

PARTIAL = "*.partial"
"""Glob pattern of temporary files that an interrupted write may leave: safe to delete while nothing is written."""


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces `path` when the block ends, synced to disk.

    Readers see the old file or the new one, never a mixture. If the block fails, the old file stays.

    Raises:
        OSError: The file cannot be written.
    """
    partial = path.with_name(f".{uuid.uuid4().hex[:12]}{PARTIAL[1:]}")  # short: `path` may be as long as names can be
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically (see `atomic_file`); creates its folder if necessary.

    Raises:
        OSError: The file cannot be written; the old file, if any, is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(content)
