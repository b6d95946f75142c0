"""The mirror of a folder in S3: kept like the bucket, file by file, each whole.

A file gets its name in the mirror after it was uploaded, and loses it after it was deleted in the bucket. So whatever
has a name here and none there was deleted by another machine, and goes; processes on this machine that read, write and
fetch at the same time do not disturb each other. Hidden files are this machine's own: locks, and what is being written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from data.files import appearing
from tune.buckets import client
from tune.buckets.address import root, shown, url_of
from tune.buckets.parsing import usable
from tune.errors import UserError

WEIGHTS = (".pt", ".safetensors", ".onnx", ".pt2")  # large: downloaded when they are read
LOG = ".log"  # appended to here, and uploaded once it is closed
_PROBE = ".imagetune-write-test"  # hidden, and so never fetched

_later: dict[Path, client.Entry] = {}  # in the bucket, and not or not as new in the mirror


def fetch(folder: Path) -> None:
    """Make the mirror of a folder like the bucket; does nothing for a folder that is no mirror.

    Weights and checkpoints are left for later: `is_file` and `files` know of them, and `needed` downloads one.

    Raises:
        StorageError: The bucket cannot be read.
        UserError: The mirror cannot be written to.
    """
    if (url := url_of(folder)) is None:
        return
    folder = Path(os.path.abspath(folder))
    here = {path: _stat(path) for path in _files_below(folder)}  # before the bucket is read: see above
    there = {folder / name: entry for name, entry in client.listing(url).items() if all(map(usable, name.split("/")))}
    for path in [*here, *_later]:
        if path not in there and path.is_relative_to(folder) and path.suffix != LOG:
            _forget(path)
    try:
        root().mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, entry in there.items():
            if (found := here.get(path)) is not None and _is_current(path, found, entry):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            _later[path] = entry
            if path.suffix not in WEIGHTS:
                needed(path)
    except OSError as error:
        if isinstance(error, client.StorageError):
            raise
        raise UserError(
            f"{error.filename or root()}: {error.strerror}: no room for a copy of {shown(folder)}; "
            "set XDG_CACHE_HOME to a folder that can be written to"
        ) from error


def needed(path: Path) -> None:
    """Download a file that `fetch` has left for later."""
    before, entry = None, _later.get(path := Path(os.path.abspath(path)))
    while entry is not None and entry != before:
        url = url_of(path)
        assert url is not None
        try:
            with appearing(path) as partial:
                client.download(url, partial)
                _stamp(partial, entry)
        except FileNotFoundError:
            return _forget(path)
        before, entry = entry, client.entry(url)  # another one if it was replaced: then this may be a mixture
    _later.pop(path, None)
    return None


def is_file(path: Path) -> bool:
    """Whether there is a file, downloaded or not."""
    return path.is_file() or Path(os.path.abspath(path)) in _later


def still_there(path: Path) -> bool:
    """Whether there is a file, of one in a bucket also there: another machine may have renamed or deleted it."""
    url = url_of(path)
    return path.is_file() if url is None else client.entry(url) is not None


def files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder, downloaded or not, whose names match a glob pattern."""
    later = [path for path in _later if path.parent == folder and path.match(pattern)]
    return list(dict.fromkeys([*folder.glob(pattern), *later]))


def publish(partial: Path, path: Path) -> None:
    """Upload a complete file that is about to get the name `path`; does nothing if that is not in a mirror."""
    if (url := url_of(path)) is not None:
        _stamp(partial, client.upload(partial, url))
        _later.pop(path, None)


def probe(folder: Path) -> None:
    """Refuse a folder in a bucket that cannot be written to; does nothing for other folders.

    Raises:
        StorageError: Says why.
    """
    if (url := url_of(folder.parent)) is not None:
        client.probe(f"{url}/{_PROBE}")


def remove(path: Path) -> None:
    """Delete a file, in the bucket first; it may be missing."""
    if (url := url_of(path)) is not None:
        client.delete(url)
    _forget(path)


def remove_folder(folder: Path) -> None:
    """Delete a folder with all that is in it, in the bucket first; it may be missing."""
    if (url := url_of(folder)) is not None:
        client.delete_folder(url)
        for path in [path for path in _later if path.is_relative_to(folder)]:
            del _later[path]
    shutil.rmtree(folder, ignore_errors=True)


def rename(old: Path, new: Path) -> None:
    """Give a file another name in its folder. Killed in the middle, both names may be in the bucket."""
    source, target = url_of(old), url_of(new)
    if source is None or target is None or source == target:
        old.replace(new)
        return
    if (entry := client.copy(source, target)) is not None:
        _stamp(old, entry)
    old.replace(new)
    client.delete(source)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _stamp(path: Path, entry: client.Entry) -> None:
    """Give the local file the bucket's time, by which the two are compared."""
    os.utime(path, ns=(entry.time, entry.time))


def _is_current(path: Path, here: os.stat_result, there: client.Entry) -> bool:
    """Whether a file need not be downloaded, by its size and time.

    S3 knows whole seconds only. What was stamped within two of them may have been replaced since in the same second,
    except for weights: a name is written by one process, and read when that is done.
    """
    if path.suffix == LOG and here.st_mtime_ns > there.time:
        return True
    same = (here.st_size, here.st_mtime_ns) == there
    return same and (path.suffix in WEIGHTS or here.st_ctime_ns - there.time > 2 * 10**9)


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
    _later.pop(path, None)


def _files_below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith("."))
