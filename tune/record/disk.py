"""Full disks, and storage that cannot be reached: recognized, waited for, and given up on after a while."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from tune.buckets.client import StorageError
from tune.errors import WorkError

FULL = (errno.ENOSPC, errno.EDQUOT)  # "no space left on device", "disk quota exceeded"
AWAY = (  # what network file systems say while their server is
    errno.ESTALE,
    errno.EIO,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EREMOTEIO,
)
PATIENCE = 600.0  # seconds to wait for room before giving up
PAUSE = 2.0  # seconds between two attempts


class UnwritableError(WorkError):
    """The record can no longer be written: the search ends cleanly, recorded up to there."""


class FullDiskError(UnwritableError):
    """The disk stayed full, or the storage out of reach, for longer than `PATIENCE`."""


def obstacle(error: BaseException | None, folder: Path) -> str:
    """Why nothing can be written for now, if an error, or one that caused it, says so; else empty.

    Args:
        error: What was raised.
        folder: Where it was written to: of a search, which is not deleted while it runs.
    """
    while error is not None:
        if isinstance(error, StorageError):
            return error.problem
        # torch.save over a full disk raises a RuntimeError while the OSError is on its way
        if isinstance(error, OSError) and error.errno in FULL:
            return f"the disk of {folder} is full"
        if isinstance(error, OSError) and error.errno in AWAY:
            return f"{folder} cannot be reached ({os.strerror(error.errno).lower()})"
        if isinstance(error, FileNotFoundError) and not os.path.exists(folder):
            return f"{folder} is gone"
        error = error.__cause__ or error.__context__
    return ""


class Wait:
    """The wait for a place to write to: announced when it begins and ends, and given up after a while."""

    def __init__(
        self,
        say: Callable[[str], None],
        patience: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience` are the seconds to wait, by default `PATIENCE`."""
        self._say, self._clock = say, clock
        self._patience = PATIENCE if patience is None else patience
        self._since: float | None = None

    def blocked(self, why: str) -> str:
        """Nothing can be written, now or still, because of this `obstacle`; returns why to give up, else empty."""
        if self._since is None:
            self._since = self._clock()
            self._say(f"{why}: paused for up to {self._patience:.0f} s; {_remedy(why)} to continue")
        if self._clock() - self._since < self._patience:
            return ""
        return f"{why}, and stayed so for {self._patience:.0f} s; {_remedy(why)} and resume"

    def over(self) -> None:
        """Something was written."""
        if self._since is not None:
            self._since = None
            self._say("files can be written again; continuing")


def _remedy(why: str) -> str:
    return "free some space" if why.endswith(" is full") else "see that it can be reached"


def retry_until_writable(
    write: Callable[[], None],
    folder: Path,
    say: Callable[[str], None] = lambda text: None,
    patience: float | None = None,
) -> None:
    """Do a write that undoes itself when it fails; while the disk is full or the storage out of reach, try again.

    Args:
        write: The write.
        folder: Where it writes to, for messages.
        say: Called with a line when waiting begins and ends.
        patience: Seconds to wait, by default `PATIENCE`.

    Raises:
        FullDiskError: It stayed so for that long. Nothing was written.
    """
    wait = Wait(say, patience)
    while True:
        try:
            write()
        except Exception as error:
            if not (why := obstacle(error, folder)):
                raise
            if why := wait.blocked(why):
                raise FullDiskError(why) from None
            time.sleep(PAUSE)
        else:
            wait.over()
            return
