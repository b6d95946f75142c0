"""Errors that users see: one line each, no traceback."""

from __future__ import annotations


class UserError(Exception):
    """Bad input: the text names the condition, the value, and what is legal. Exit code 2, nothing written."""

    exit_code = 2


class WorkError(UserError):
    """The input was fine and the work failed: every trial failed, a file is damaged beyond repair. Exit code 1."""

    exit_code = 1
