"""Files that are complete whenever they exist, also after a crash; in mirrors of folders in S3, there too.

All that is written into the folders of searches and runs, renamed or deleted there goes through here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from data.files import PARTIAL, appearing, sweep
from tune.buckets.mirror import (
    fetch,
    files,
    is_file,
    needed,
    probe,
    publish,
    remove,
    remove_folder,
    rename,
    still_there,
)

__all__ = [
    "PARTIAL",
    "atomic_file",
    "fetch",
    "files",
    "is_file",
    "needed",
    "probe",
    "publish",
    "remove",
    "remove_folder",
    "rename",
    "still_there",
    "sweep",
    "write_whole",
]


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces `path` when the block ends, synced to disk.

    Readers see the old file or the new one, never a mixture. If the block fails, the old file stays. A file in a bucket
    is uploaded once it is complete.

    Raises:
        OSError: The file cannot be written (`StorageError`: to the bucket).
    """
    with appearing(path) as partial:
        with partial.open("xb") as file:
            yield file
        publish(partial, path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically (see `atomic_file`); creates its folder if necessary.

    Raises:
        OSError: The file cannot be written; the old file, if any, is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(content)
