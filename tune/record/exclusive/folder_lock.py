"""The lock on a search's folder, and whether other machines may share the folder's file system."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tune.record.exclusive.process import running_elsewhere
from tune.record.folder import SearchFolder

_NETWORK = ("nfs", "cifs", "smb", "fuse", "ceph", "lustre", "glusterfs", "beegfs")
_LOCAL = ("fuseblk", "fuse.fuse-overlayfs")
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def lock_folder(folder: SearchFolder) -> Iterator[None]:
    """Lock a search's folder for this process.

    Raises:
        UserError: another process has locked it; the message names it.
    """
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(descriptor):
            with suppress(ValueError):
                raise running_elsewhere(folder, json.loads(os.pread(descriptor, 1000, 0)))
            raise running_elsewhere(folder, None)  # it is just writing who it is
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Try for a moment: another process's `is_driven` may have it for an instant."""
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return True  # a file system without locks: the lease in the record is what counts there
        else:
            return True
    return False


def folder_is_locked(folder: SearchFolder) -> bool:
    """Whether a process has locked a search's folder."""
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    finally:
        os.close(descriptor)
    return False


def on_network(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a folder is on a file system that several machines may share."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return False
    path, best, kind = str(folder.resolve()), "", ""
    for _, point, system, *_ in lines:
        point = point.replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two on one point, the later is on top
            best, kind = point, system
    return kind.startswith(_NETWORK) and kind not in _LOCAL
