"""Content hashes of the user's files, remembered, so that only files that were touched are read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time

import numpy as np
from numpy.typing import NDArray

from data.files import appearing, cores
from data.identity import HASH_BYTES, Hashes
from data.store import homes
from data.untrusted import check_archive
from data.values import Progress, Say

Facts = NDArray[np.int64]
"""(n, 4): bytes, time of modification, time of status change (both in nanoseconds), inode; -1 for no such file."""

_BATCH = 256
_BLOCK = 1 << 20
# A file that changes again within the clock tick in which it was hashed keeps its times. Generous, for file systems
# that count in seconds (or in two, as FAT does), and for clocks of file servers that are a little behind.
_SETTLED_NS = 3_000_000_000


def content_hashes(folder: Path, paths: list[str], root: Path, say: Say) -> Hashes:
    """A hash of each file's bytes, zeros for one that cannot be read.

    A file is read when it is new or when its size, inode or either of its times is another than when it was hashed.
    The time of status change is set by the kernel: no copy and no archive brings it along.

    Args:
        folder: The user's folder.
        paths: Files in it, relative.
        root: The data folder, in which the index is kept.
        say: Called with a line about the progress.

    Returns:
        (n, 16) uint8.
    """
    name = f"index-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}.npz"
    started = time()
    facts = _facts(folder, paths)
    rows, old_facts, old_hashes = _remembered(name, root)
    at = np.fromiter((rows.get(path, -1) for path in paths), np.int64, len(paths))
    hashes = old_hashes[at] if rows else np.zeros((len(paths), HASH_BYTES), np.uint8)
    known = (at >= 0) & (old_facts[at] == facts).all(1) if rows else np.zeros(len(paths), bool)
    unknown = np.flatnonzero(~known)
    if len(unknown):
        hashes[unknown] = _hash_all([os.path.join(folder, paths[i]) for i in unknown.tolist()], say)
    if len(unknown) or len(rows) != len(paths):
        settled = facts.copy()
        settled[facts[:, 2] > int(started * 1e9) - _SETTLED_NS] = -2  # Read again the next time.
        settled[~hashes.any(1)] = -2
        settled[known] = facts[known]
        _remember(name, root, paths, settled, hashes)
    return hashes


def _facts(folder: Path, paths: Iterable[str]) -> Facts:
    """What distinguishes one state of each file from another without reading it."""

    def one(path: str) -> tuple[int, int, int, int]:
        try:
            status = os.stat(path)
        except OSError:
            return -1, -1, -1, -1
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & 0x7FFF_FFFF_FFFF_FFFF

    prefix = os.path.join(folder, "")
    return np.array([one(prefix + path) for path in paths], np.int64).reshape(-1, 4)


def _hash_all(paths: list[str], say: Say) -> Hashes:
    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    progress = Progress("read", len(paths), say)
    pool = ThreadPoolExecutor(2 * cores())  # Reading waits for the disk more than it computes.
    hashes = []
    try:
        for batch, found in zip(batches, pool.map(_hash_batch, batches), strict=True):
            hashes.append(found)
            progress.advance(len(batch))
    finally:
        pool.shutdown(cancel_futures=True)
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(len(paths), HASH_BYTES)


def _hash_batch(paths: list[str]) -> bytes:
    return b"".join(map(_hash, paths))


def _hash(path: str) -> bytes:
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    try:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return bytes(HASH_BYTES)
    return digest.digest()


def _remembered(name: str, root: Path) -> tuple[dict[str, int], Facts, Hashes]:
    """Row of each path, facts and hashes as they were last written; empty where nothing is remembered."""
    written = [path for home in homes(root) if (path := home / name).is_file()]
    for path in sorted(written, key=os.path.getmtime, reverse=True):
        with contextlib.suppress(Exception):  # A damaged index is as good as none, whatever NumPy makes of it.
            check_archive(path)
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                paths = file["paths"].tobytes().decode().split("\0")
                facts, hashes = file["facts"], file["hashes"]
            if facts.shape == (len(paths), 4) and hashes.shape == (len(paths), HASH_BYTES):
                return {path: row for row, path in enumerate(paths)}, facts, hashes
    return {}, np.empty((0, 4), np.int64), np.empty((0, HASH_BYTES), np.uint8)


def _remember(name: str, root: Path, paths: list[str], facts: Facts, hashes: Hashes) -> None:
    """Write an index to where the prepared copies are; without one, the files are read each time."""
    joined = np.frombuffer("\0".join(paths).encode(), np.uint8)
    for home in homes(root):
        with contextlib.suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
            with appearing(home / name) as partial, partial.open("wb") as file:
                np.savez(file, paths=joined, facts=facts, hashes=hashes)
            return
