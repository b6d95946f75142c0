"""What a user sees when a command cannot do its work: lines on stderr, an exit code, no traceback."""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TypeVar

from tune.errors import UserError
from tune.interruption import EXIT_CODE as INTERRUPTED
from tune.interruption import interruptible

BAD_INPUT, FAILED = 2, 1
_CONTROLS = {n: repr(chr(n))[1:-1] for n in (*range(32), *range(127, 160))}  # as `data.words.printable` writes them
GRACE = 4.0  # seconds for a command to end after a signal; then the process ends all the same

P = ParamSpec("P")
T = TypeVar("T")


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """The command with errors meant for users turned into lines and exit codes, and with signals answered."""

    @functools.wraps(command)
    def inner(*args: P.args, **options: P.kwargs) -> T:
        signalled: list[int] = []

        def interrupt(number: int) -> None:
            signalled.append(number)
            raise KeyboardInterrupt

        try:
            with interruptible(interrupt, _last_words, GRACE):
                return command(*args, **options)
        except KeyboardInterrupt as stop:
            _quit(INTERRUPTED, str(stop) or "interrupted")
        except (Exception, SystemExit) as error:
            if signalled:  # an interrupted import can raise anything; typer ends without a word
                _quit(INTERRUPTED, "interrupted")
            if isinstance(error, SystemExit) or (code := exit_code(error)) is None:
                raise
            _quit(code, *([os_error_line(error)] if isinstance(error, OSError) else error.args))

    return inner


def _last_words() -> None:
    print("interrupted", file=sys.stderr, flush=True)


def _quit(code: int, *lines: str) -> NoReturn:
    for line in lines:
        print(line.translate(_CONTROLS), file=sys.stderr)
    raise SystemExit(code)


def os_error_line(error: OSError) -> str:
    """What the system would not do, in a line: the path and the reason."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def exit_code(error: Exception) -> int | None:
    """The exit code of an error that is meant for users; None for a bug, which keeps its traceback."""
    if isinstance(error, UserError):
        return error.exit_code
    if isinstance(error, OSError):
        return FAILED
    if not isinstance(error, ValueError):
        return None
    # Imported here: `models` brings torch. If it is not there yet, it has not raised this error.
    from data import DamagedDataError, DataError
    from models import ModelError
    from search_spaces import SpaceError

    if isinstance(error, DamagedDataError):
        return FAILED
    return BAD_INPUT if isinstance(error, DataError | ModelError | SpaceError) else None


def end_process(code: int) -> NoReturn:
    """End the process with an exit code.

    Without results it ends at once: cleaning up could block, on a Ray that is gone or on the thread that a signal has
    found, and what Ray started for us ends with this process. Python would even end itself by SIGINT where the
    interruption came through an `exec` (a dataclass being made).
    """
    if code in (FAILED, INTERRUPTED):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if "triton" not in sys.modules:  # which would report what is left at the end, in 30 lines
        gc.freeze()  # else Python looks for garbage in all: a second after reading a record of 2,000 trials
    sys.exit(code)
