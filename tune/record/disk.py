"""Full disks: recognized, waited for, and given up on after a while."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

from tune.errors import WorkError

FULL = (errno.ENOSPC, errno.EDQUOT)  # "no space left on device", "disk quota exceeded"
PATIENCE = 600.0  # seconds to wait for room before giving up
PAUSE = 2.0  # seconds between two attempts
ROOM_AGAIN = "there is room on the disk again; continuing"


class UnwritableError(WorkError):
    """The record can no longer be written: the search ends cleanly, recorded up to there."""


class FullDiskError(UnwritableError):
    """The disk stayed full for longer than `PATIENCE`."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, says that the disk is full."""
    while error is not None:
        # torch.save over a full disk raises a RuntimeError while the OSError is on its way
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def retry_while_disk_full(
    write: Callable[[], None],
    folder: Path,
    say: Callable[[str], None] = lambda text: None,
    patience: float | None = None,
) -> None:
    """Do a write that undoes itself when it fails; while the disk is full, wait and try again.

    Args:
        write: The write.
        folder: Where it writes to, for messages.
        say: Told when waiting begins and ends.
        patience: Seconds to wait for room, by default `PATIENCE`.

    Raises:
        FullDiskError: The disk stayed full for that long. Nothing was written.
    """
    patience = PATIENCE if patience is None else patience
    start = time.monotonic()
    told = False
    while True:
        try:
            write()
        except Exception as error:
            if not is_full(error):
                raise
            if time.monotonic() - start >= patience:
                message = f"{folder}: the disk stayed full for {patience:.0f} s; free some space and resume"
                raise FullDiskError(message) from None
            if not told:
                say(f"the disk of {folder} is full: paused for up to {patience:.0f} s; free some space to continue")
                told = True
            time.sleep(PAUSE)
        else:
            if told:
                say(ROOM_AGAIN)
            return
