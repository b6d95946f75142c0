"""A CSV table that grows line by line, over many calls and from several processes at once."""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.words import quoted
from tune.errors import UserError
from tune.files import write_whole

Line = dict[str, Any]
"""One line of a table: plain values by column, None for unknown ones."""


def read_lines(path: Path, key: str, text: Collection[str]) -> dict[str, Line]:
    """The lines of a table by key; none if there is no file yet.

    Args:
        path: The CSV file.
        key: The column that identifies a line.
        text: Columns of text; all others are numbers.

    Raises:
        UserError: The file is not such a table.
    """
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames and key not in reader.fieldnames:
                raise KeyError(key)
            lines = [{name: _value(cell, name in text) for name, cell in row.items()} for row in reader]
        return {line[key]: line for line in lines}
    except (ValueError, KeyError, AttributeError, TypeError, csv.Error):  # AttributeError, TypeError: truncated lines
        raise UserError(f"{path} is not a table with a column {quoted(key)} and numbers; use another --csv") from None


def _value(cell: str, text: bool) -> Any:
    if cell == "":
        return None
    if text:
        return cell
    number = float(cell)
    return int(number) if cell.lstrip("-").isdigit() else number


def write_lines(path: Path, lines: Mapping[str, Line]) -> None:
    """Write a table with every column that any line has; unknown cells are empty.

    Raises:
        OSError: It cannot be written.
    """
    stream = io.StringIO(newline="")
    columns = list(dict.fromkeys(name for line in lines.values() for name in line))
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines.values())
    write_whole(path, stream.getvalue().encode())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a table's folder, so that processes that write at the same time lose nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def put_line(path: Path, line: Line, key: str, table: Callable[[Path], Mapping[str, Line]]) -> None:
    """Put a line into a table; the other lines stay as they are.

    Args:
        path: The CSV file.
        line: Replaces the line with the same key.
        key: The column that identifies a line.
        table: Reads the file's lines by key.

    Raises:
        OSError: It cannot be written.
    """
    with locked(path):
        write_lines(path, {**table(path), line[key]: line})


def check_writable(path: Path) -> None:
    """Check that a file can be written, before hours are spent on its contents.

    Raises:
        UserError: It is a folder, or in a folder that cannot be written to.
    """
    if path.is_dir():
        raise UserError(f"--csv {path} is a folder; use a file name")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"--csv {path}: {above} cannot be written to; use a file elsewhere")
