"""Errors that users see as lines, without a traceback."""

from __future__ import annotations

import re

from tune.buckets.address import shown

MOST = 300  # characters of what an error of a library says


def error_line(error: BaseException) -> str:
    """What an error of a library says, on one line; its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException, most: int | None = None) -> str:
    """The first line of what an error says, cut to so many characters; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def named_line(error: BaseException) -> str:
    """The name of an error, and the first line of what it says: for errors that nobody wrote for users."""
    name = type(error).__name__
    return f"{name}: {first_line(error, MOST)}" if str(error).strip() else name


def without_password(url: str) -> str:
    """A URL for messages: what stands before the host may be a password."""
    return re.sub(r"//[^/]*@", "//...@", url)


class UserError(Exception):
    """The input is invalid: the lines say which value is wrong and what to do. Exit code 2, nothing is written."""

    exit_code = 2

    def __init__(self, *lines: str) -> None:
        # Kept apart, since a path in one of them may contain a line break.
        super().__init__(*map(shown, lines))

    def __str__(self) -> str:
        return "\n".join(self.args)


class WorkError(UserError):
    """The input is valid but the work failed, as when every trial fails or a file is damaged. Exit code 1."""

    exit_code = 1
