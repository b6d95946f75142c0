"""Prepared images on disk, opened as memory maps, so that all processes of a node share one physical copy.

One folder per part and origin, ``<root>/prepared/<name>-<part>-<key>/``, has ``images.npy``, ``labels.npy`` and
``meta.json``. The key covers everything the arrays were made from, so a change of the origin is another folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.arrays import Batch, Recipe, in_memory, readable, write_images
from data.errors import DataError
from data.files import appearing, cache_folder, sweep, sync_folder
from data.untrusted import read_json
from data.values import ImageSet, Part, Say

FORMAT = 2
_ARRAYS = ("images", "labels")
_ABANDONED_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Origin:
    """What prepared arrays are made from.

    Attributes:
        name: The dataset's name, the start of the folder's name.
        part: Which part of it.
        identity: What stays the same when the origin's content changes (as its path): an older copy gives way.
        facts: Everything that decides what the arrays hold, as checksums or the state of the files.
    """

    name: str
    part: Part
    identity: str
    facts: tuple[object, ...]

    @property
    def folder_name(self) -> str:
        """The folder's name: equal for equal facts, wherever they come from, and another for any other."""
        text = json.dumps([FORMAT, self.facts])
        return f"{self.name}-{self.part}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class _DamagedError(Exception):
    """A prepared folder that cannot be used, and why."""


def file_facts(path: Path) -> tuple[str, int, int, int, int]:
    """What distinguishes one state of a file from another without reading it: path, bytes, inode, and its two times.

    The time of modification can be set by anybody, as by an archive that is unpacked; that of status change cannot.
    """
    try:
        status = path.stat()
    except OSError:
        return str(path), -1, -1, -1, -1  # A dangling link, for one. Reading it will say what is wrong.
    return str(path), status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def homes(root: Path) -> Iterator[Path]:
    """Where prepared folders are looked for and written, best first."""
    yield root / "prepared"
    yield cache_folder() / "prepared"


def fetch(origin: Origin, root: Path, say: Say) -> ImageSet | None:
    """The prepared arrays of an origin, or None where there are none that can be trusted."""
    for home in homes(root):
        folder = home / origin.folder_name
        try:
            if folder.is_dir():
                return _open(folder, origin)
        except (_DamagedError, OSError) as error:
            say(f"the prepared copy {folder} is damaged ({error}); preparing it again")
    return None


def keep(origin: Origin, images: ImageSet, root: Path, say: Say) -> ImageSet:
    """Store arrays and give them back as memory maps; see ``build``, which does so without having them in memory."""
    total, channels, height, width = images.images.shape
    whole = Batch(images.images.numpy(), total)
    recipe = Recipe((channels, height, width), images.labels.numpy(), images.classes, lambda start: iter([whole]))
    return build(origin, recipe, root, say)


def build(origin: Origin, recipe: Recipe, root: Path, say: Say, *, alone: bool = False) -> ImageSet:
    """Make prepared arrays, store them as they are made, and open them as memory maps.

    Falls back to the user's cache folder where ``root`` cannot be written to, and to plain memory where neither can.

    Args:
        origin: What the arrays are made from.
        recipe: How.
        root: The data folder.
        say: Called with a line about every fallback.
        alone: Whether this process has the lock. Then what a killed process has left of the same arrays is continued.

    Raises:
        DataError: The recipe's.
    """
    for home in homes(root):
        try:
            home.mkdir(parents=True, exist_ok=True)
            return _open(_write(home, origin, recipe, say, alone=alone), origin)
        except (OSError, _DamagedError) as error:
            say(f"cannot store prepared images in {home} ({getattr(error, 'strerror', None) or error})")
    say(f"{origin.name} is kept in memory instead, once per process that uses it")
    return in_memory(recipe)


def _write(home: Path, origin: Origin, recipe: Recipe, say: Say, *, alone: bool) -> Path:
    """Write a folder under a temporary name, then give it its own in one step."""
    folder, partial = home / origin.folder_name, home / f".partial-{origin.folder_name}"
    for left in sweep(home, ".partial-*", _ABANDONED_SECONDS):
        if left != partial:
            shutil.rmtree(left, ignore_errors=True)
    if alone:
        partial.mkdir(exist_ok=True)
    else:
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=home))
    try:
        unreadable = write_images(partial, recipe, say)
        labels = readable(recipe.labels, unreadable)
        with appearing(partial / "labels.npy") as new, new.open("wb") as file:
            np.save(file, labels)
        meta = {
            "format": FORMAT,
            "identity": origin.identity,
            "shape": [len(labels), *recipe.shape],
            "bytes": {name: (partial / f"{name}.npy").stat().st_size for name in _ARRAYS},
            "classes": list(recipe.classes),
            "unreadable": unreadable,
        }
        with appearing(partial / "meta.json") as new:
            new.write_text(json.dumps(meta), encoding="utf-8")
        partial.chmod(0o755)
        _put(partial, folder, origin)
    except (DataError, OSError):
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        if not alone:
            shutil.rmtree(partial, ignore_errors=True)
    _remove_older(home, origin)
    return folder


def _put(partial: Path, folder: Path, origin: Origin) -> None:
    """Rename ``partial`` to ``folder``; a whole folder that is there already, from another process, is as good."""
    sync_folder(partial)
    if folder.is_dir():
        with contextlib.suppress(_DamagedError, OSError):
            _open(folder, origin)
            shutil.rmtree(partial)
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
            same = read_json(meta)["identity"] == origin.identity
            if same and meta.parent.name != origin.folder_name:
                shutil.rmtree(meta.parent, ignore_errors=True)


def _open(folder: Path, origin: Origin) -> ImageSet:
    """Map a prepared folder, checking shapes, types and lengths against what was written."""
    try:
        meta = read_json(folder / "meta.json")
        shape, lengths = tuple(meta["shape"]), meta["bytes"]
        images, labels = (_map(folder / f"{name}.npy", lengths[name]) for name in _ARRAYS)
        unreadable = tuple((int(position), str(reason)) for position, reason in meta["unreadable"])
        found = ImageSet(images, labels, tuple(meta["classes"]), unreadable)
        identity = str(meta["identity"])
    except (ValueError, KeyError, TypeError) as error:
        raise _DamagedError(str(error)) from error
    if found.images.dtype != torch.uint8 or found.labels.dtype != torch.int64:
        raise _DamagedError(f"it has {found.images.dtype} images and {found.labels.dtype} labels")
    if tuple(images.shape) != shape or tuple(labels.shape) != shape[:1]:
        raise _DamagedError(f"it has images {tuple(images.shape)} and labels {tuple(labels.shape)}, not {shape}")
    if identity != origin.identity:
        _adopt(folder / "meta.json", meta, origin)
    return found


def _adopt(path: Path, meta: dict[str, object], origin: Origin) -> None:
    """Note that a copy now belongs to another place with the same content, as images that were moved."""
    with contextlib.suppress(OSError), appearing(path) as new:
        new.write_text(json.dumps(meta | {"identity": origin.identity}), encoding="utf-8")


def _map(path: Path, length: int) -> Tensor:
    """Map an array copy-on-write: torch wants writable memory, and pages nobody writes to stay shared and clean."""
    if (found := path.stat().st_size) != length:
        raise _DamagedError(f"{path.name} has {found:,} of {length:,} bytes")
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
