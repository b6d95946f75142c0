"""What a user sees when a command cannot do its work: lines on stderr, an exit code, no traceback."""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, ParamSpec, TypeVar

from tune.errors import UserError

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130

P = ParamSpec("P")
T = TypeVar("T")


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """The command with errors meant for users turned into lines and exit codes; SIGTERM is as good as Ctrl-C."""

    @functools.wraps(command)
    def inner(*args: P.args, **options: P.kwargs) -> T:
        try:
            with _terminable():
                return command(*args, **options)
        except KeyboardInterrupt as stop:
            _quit(str(stop) or "interrupted", INTERRUPTED)
        except UserError as error:
            _quit(str(error), error.exit_code)
        except BrokenPipeError:
            raise  # the reader of a pipe has seen enough; typer ends without a word
        except OSError as error:
            _quit(os_error_line(error), FAILED)
        except ValueError as error:
            if (code := _leaf_code(error)) is None:
                raise
            _quit(str(error), code)

    return inner


def _quit(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(code)


def os_error_line(error: OSError) -> str:
    """What the system would not do, in a line: the path and the reason."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _leaf_code(error: ValueError) -> int | None:
    """The exit code of an error that one of the leaf packages raised for a user; None for any other."""
    # Imported here: `models` brings torch. If it is not there yet, it has not raised this error.
    from data import DamagedDataError, DataError
    from models import ModelError
    from search_spaces import SpaceError

    if isinstance(error, DamagedDataError):
        return FAILED
    return BAD_INPUT if isinstance(error, DataError | ModelError | SpaceError) else None


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM for the block; only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
