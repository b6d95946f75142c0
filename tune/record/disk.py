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


class Wait:
    """The wait for room on a full disk: announced when it begins and ends, and given up after a while."""

    def __init__(
        self,
        say: Callable[[str], None],
        patience: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience` are the seconds to wait for room, by default `PATIENCE`."""
        self._say, self._clock = say, clock
        self._patience = PATIENCE if patience is None else patience
        self._since: float | None = None

    def full(self, where: object) -> str:
        """The disk of `where` is full, now or still; returns why to give up, empty while there is time."""
        if self._since is None:
            self._since = self._clock()
            self._say(
                f"the disk of {where} is full: paused for up to {self._patience:.0f} s; free some space to continue"
            )
        if self._clock() - self._since < self._patience:
            return ""
        return f"{where}: the disk stayed full for {self._patience:.0f} s; free some space and resume"

    def room(self) -> None:
        """Something was written."""
        if self._since is not None:
            self._since = None
            self._say("there is room on the disk again; continuing")


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
        say: Called with a line when waiting begins and ends.
        patience: Seconds to wait for room, by default `PATIENCE`.

    Raises:
        FullDiskError: The disk stayed full for that long. Nothing was written.
    """
    wait = Wait(say, patience)
    while True:
        try:
            write()
        except Exception as error:
            if not is_full(error):
                raise
            if why := wait.full(folder):
                raise FullDiskError(why) from None
            time.sleep(PAUSE)
        else:
            wait.room()
            return
