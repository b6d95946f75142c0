"""Prepared images on disk, opened as memory maps, so that all processes of a node share one physical copy.

One folder per part and origin, ``<root>/prepared/<name>-<part>-<key>/``, holds ``images.npy``, ``labels.npy`` and
``meta.json``. The key covers everything the arrays were made from, so a change of the origin is another folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from data.files import sweep, sync_folder
from data.values import ImageSet, Part, Say

FORMAT = 1
_ARRAYS = ("images", "labels")


@dataclass(frozen=True)
class Origin:
    """What prepared arrays are made from.

    Attributes:
        name: The dataset's name, the start of the folder's name.
        part: Which part of it.
        identity: What stays the same when the origin's content changes (as its path): an older copy gives way.
        facts: Everything that decides what the arrays hold, as sizes and times of the files.
    """

    name: str
    part: Part
    identity: str
    facts: tuple[object, ...]

    @property
    def folder_name(self) -> str:
        """The folder's name: equal for equal origins and another for any other."""
        text = json.dumps([FORMAT, self.identity, self.facts])
        return f"{self.name}-{self.part}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class _DamagedError(Exception):
    """A prepared folder that cannot be used, and why."""


def file_facts(path: Path) -> tuple[str, int, int]:
    """What tells one state of a file from another without reading it: path, bytes, time of change in nanoseconds."""
    try:
        status = path.stat()
    except OSError:
        return str(path), -1, -1  # A dangling link, for one. Reading it will say what is wrong.
    return str(path), status.st_size, status.st_mtime_ns


def fetch(origin: Origin, root: Path, say: Say) -> ImageSet | None:
    """The prepared arrays of an origin, or None where there are none that can be trusted."""
    for home in _homes(root):
        folder = home / origin.folder_name
        try:
            if folder.is_dir():
                return _open(folder)
        except (_DamagedError, OSError) as error:
            say(f"the prepared copy {folder} is damaged ({error}): it is made again")
    return None


def keep(origin: Origin, images: ImageSet, root: Path, say: Say) -> ImageSet:
    """Store prepared arrays and give them back as memory maps.

    Falls back to the user's cache folder where ``root`` cannot be written to, and to plain memory where neither can.

    Args:
        origin: What the arrays were made from.
        images: The arrays, in memory.
        root: The data folder.
        say: Told of every fallback.
    """
    for home in _homes(root):
        try:
            home.mkdir(parents=True, exist_ok=True)
            folder = _write(home, origin, images)
            return _open(folder)
        except (OSError, _DamagedError) as error:
            say(f"cannot keep prepared images in {home} ({getattr(error, 'strerror', None) or error})")
    say(f"{origin.name} is held in memory, once for every process that uses it")
    return images


def _homes(root: Path) -> Iterator[Path]:
    """Where prepared folders are looked for and written, best first."""
    yield root / "prepared"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    yield Path(cache) / "imagetune" / "prepared"


def _write(home: Path, origin: Origin, images: ImageSet) -> Path:
    """Write a folder under a temporary name, then give it its own in one step."""
    for left in sweep(home, ".partial-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = home / origin.folder_name
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=home))
    try:
        for name, array in zip(_ARRAYS, (images.images.numpy(), images.labels.numpy()), strict=True):
            with _synced(partial / f"{name}.npy") as file:
                np.save(file, array)
        meta = {
            "format": FORMAT,
            "identity": origin.identity,
            "shape": list(images.images.shape),
            "bytes": {name: (partial / f"{name}.npy").stat().st_size for name in _ARRAYS},
            "classes": list(images.classes),
            "skipped": images.skipped,
        }
        with _synced(partial / "meta.json") as file:
            file.write(json.dumps(meta).encode())
        partial.chmod(0o755)
        _put(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _remove_older(home, origin)
    return folder


@contextlib.contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    """A new file whose content is on the disk, not only on its way there, when the block ends."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _put(partial: Path, folder: Path) -> None:
    """Rename ``partial`` to ``folder``; a whole folder that is there already, from another process, is as good."""
    sync_folder(partial)
    if folder.is_dir():
        with contextlib.suppress(_DamagedError, OSError):
            _open(folder)
            return
        shutil.rmtree(folder)
    with contextlib.suppress(FileExistsError):
        try:
            partial.rename(folder)
        except OSError:
            # A folder that is not empty is reported as ENOTEMPTY: another process was first.
            if not folder.is_dir():
                raise
    sync_folder(folder.parent)


def _remove_older(home: Path, origin: Origin) -> None:
    """Remove what was prepared from an earlier state of the same origin. Processes that map it keep their pages."""
    for meta in home.glob(f"{origin.name}-{origin.part}-*/meta.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            same = json.loads(meta.read_text(encoding="utf-8"))["identity"] == origin.identity
            if same and meta.parent.name != origin.folder_name:
                shutil.rmtree(meta.parent, ignore_errors=True)


def _open(folder: Path) -> ImageSet:
    """Map a prepared folder, checking shapes, types and lengths against what was written."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        shape, lengths = tuple(meta["shape"]), meta["bytes"]
        images, labels = (_map(folder / f"{name}.npy", lengths[name]) for name in _ARRAYS)
        found = ImageSet(images, labels, tuple(meta["classes"]), int(meta["skipped"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _DamagedError(str(error)) from error
    if found.images.dtype != torch.uint8 or found.labels.dtype != torch.int64:
        raise _DamagedError(f"it holds {found.images.dtype} images and {found.labels.dtype} labels")
    if tuple(images.shape) != shape or tuple(labels.shape) != shape[:1]:
        raise _DamagedError(f"it holds images {tuple(images.shape)} and labels {tuple(labels.shape)}, not {shape}")
    return found


def _map(path: Path, length: int) -> Tensor:
    """Map an array copy-on-write: torch wants writable memory, and pages nobody writes to stay shared and clean."""
    if (found := path.stat().st_size) != length:
        raise _DamagedError(f"{path.name} has {found:,} bytes of {length:,}")
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
