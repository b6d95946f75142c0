"""A CSV table that grows by a line at a time, over many invocations and by several processes at once."""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tune.errors import UserError
from tune.files import write_whole

Line = dict[str, Any]
"""One line of a table: plain values by column, None for what is not known."""


def read_lines(path: Path, key: str, text: Collection[str]) -> dict[str, Line]:
    """The lines of a table by their key; none where there is no file yet.

    Args:
        path: Of the CSV file.
        key: The column that names a line.
        text: Columns that hold text; all others hold numbers.

    Raises:
        UserError: the file is not such a table.
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
    except (ValueError, KeyError, AttributeError, TypeError, csv.Error):  # the two before the last: lines cut off
        raise UserError(f"{path} is not a table with a column {key!r} and figures; legal: another --csv") from None


def _value(cell: str, text: bool) -> Any:
    if cell == "":
        return None
    if text:
        return cell
    number = float(cell)
    return int(number) if cell.lstrip("-").isdigit() else number


def write_lines(path: Path, lines: Mapping[str, Line]) -> None:
    """Write a table whole: every column that any line has, empty where nothing is known.

    Raises:
        OSError: it cannot be written.
    """
    stream = io.StringIO(newline="")
    columns = list(dict.fromkeys(name for line in lines.values() for name in line))
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines.values())
    write_whole(path, stream.getvalue().encode())


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a table's folder, so that processes that add to it at the same time lose nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def put_line(path: Path, line: Line, key: str, table: Callable[[Path], Mapping[str, Line]]) -> None:
    """Put a line into a table; the others, of whatever invocation, stay as they are.

    Args:
        path: Of the CSV file.
        line: Takes the place of the one with the same key.
        key: The column that names a line.
        table: Reads the file's lines by their key.

    Raises:
        OSError: it cannot be written.
    """
    with alone(path):
        write_lines(path, {**table(path), line[key]: line})


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before hours are spent on its contents.

    Raises:
        UserError: it is a folder, or lies where nothing can be written.
    """
    if path.is_dir():
        raise UserError(f"--csv {path}: is a folder; legal: a file")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"--csv {path}: {above} cannot be written to; legal: a file in a folder of yours")
