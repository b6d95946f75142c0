"""The standard streams of the program, which take every character; results that cannot be printed are an error."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

from tune.buckets.address import shown
from tune.errors import WorkError

ESCAPED = "imagetune.escaped"  # how to print what an encoding lacks, or bytes of a file name that are not UTF-8: \xe9


def _escape(error: UnicodeError) -> tuple[str, int]:
    """As `backslashreplace`, except that bytes of file names are shown as they are, not as Python's stand-ins."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    shown = (
        f"\\x{ord(letter) - 0xDC00:02x}"
        if "\udc80" <= letter <= "\udcff"
        else letter.encode("ascii", "backslashreplace").decode()
        for letter in text
    )
    return "".join(shown), error.end


codecs.register_error(ESCAPED, _escape)


def _for_people(text: str) -> str:
    """URLs of folders in S3, not the paths of their mirrors. Click tries bytes, to learn what the stream takes."""
    return shown(text) if isinstance(text, str) else text


class _Messages(io.TextIOWrapper):
    """Stderr: messages that cannot be written are dropped. Its reader, its terminal or its disk may be gone."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            super().write(_for_people(text))
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            super().flush()


class _Results(io.TextIOWrapper):
    """Stdout: what cannot be written ends the command, with a line unless the reader has had enough (`| head`)."""

    def write(self, text: str) -> int:
        with self._told():
            super().write(_for_people(text))
        return len(text)

    def flush(self) -> None:
        with self._told():
            super().flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raises WorkError instead of OSError, which typer and rich would answer in their own ways."""
        try:
            yield
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # Python tries to write the rest at its end
            if error.errno == errno.EPIPE:
                raise WorkError from None
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise WorkError(
                f"cannot print the results on stdout: {reason}; print them to a file or a terminal"
            ) from None


def prepare_streams() -> None:
    """At the start of the process: streams that exist and can take every character."""
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file that is opened takes the number, and messages are written into it. Stdin and stdout
            # are opened the wrong way round, so that using them is an error.
            os.open(os.devnull, mode)
    sys.stdout = _wrapped(_Results, sys.stdout, 1)
    sys.stderr = _wrapped(_Messages, sys.stderr, 2)


def _wrapped(kind: type[io.TextIOWrapper], stream: TextIO | None, number: int) -> TextIO:
    if stream is None:  # it was closed
        return kind(io.BufferedWriter(io.FileIO(number, "w", closefd=False)), encoding="utf-8", errors=ESCAPED)
    line_buffering = number == 2 or stream.isatty()
    return kind(stream.buffer, encoding=stream.encoding, errors=ESCAPED, line_buffering=line_buffering)


_results: list[TextIO] = []


def results() -> TextIO:
    """Where results are printed: stdout, also within `stdout_for_results`."""
    return _results[-1] if _results else sys.stdout


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """For the block, whatever libraries and child processes print on stdout goes to stderr; results go to `results`."""
    stdout = sys.stdout
    try:
        copy = os.dup(stdout.fileno())
    except (OSError, ValueError):  # a test reads it
        _results.append(stdout)
    else:
        stdout.flush()
        os.dup2(2, stdout.fileno())
        buffer = io.BufferedWriter(io.FileIO(copy, "w"))
        _results.append(_Results(buffer, encoding=stdout.encoding, errors=ESCAPED))
    try:
        with redirect_stdout(sys.stderr):
            yield
            _results[-1].flush()
    finally:
        stream = _results.pop()
        if stream is not stdout:
            os.dup2(stream.fileno(), stdout.fileno())
            with suppress(WorkError):
                stream.close()
