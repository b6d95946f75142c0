"""One driver per search: a lock that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tune.errors import UserError
from tune.record.folder import SearchFolder

UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def driving(folder: SearchFolder) -> Iterator[None]:
    """Hold the search while the body runs.

    Raises:
        UserError: another driver lives; the message names it.
    """
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _acquired(descriptor):
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            raise UserError(f"{folder.path} is driven by another search that lives ({holder}); stop that one first")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquired(descriptor: int) -> bool:
    """Try for a moment: `is_driven` of another process may hold the lock for an instant."""
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            return True  # a file system without locks: the lease in the study is what holds there
        else:
            return True
    return False


def is_driven(folder: SearchFolder) -> bool:
    """Whether a living driver holds the search."""
    if not folder.lock.is_file():
        return False
    descriptor = os.open(folder.lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
    return False
