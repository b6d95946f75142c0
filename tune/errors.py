"""Errors that users see as one line, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """The input is invalid: the text says which value is wrong and what to do. Exit code 2, nothing is written."""

    exit_code = 2


class WorkError(UserError):
    """The input is valid but the work failed, as when every trial fails or a file is damaged. Exit code 1."""

    exit_code = 1
