"""Reading files that others may have written: whatever they hold, in bounded memory and without running anything."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

MAX_JSON = 2**29
"""Bytes of a JSON file. A confusion matrix of 5,000 classes has 50 MB."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is no JSON, or nested so deeply that Python's parser gives up.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON, nested too deeply, or larger than `MAX_JSON`.
    """
    if (size := path.stat().st_size) > MAX_JSON:
        raise ValueError(f"it has {size:,} bytes, more than {MAX_JSON:,}")
    return parse_json(path.read_bytes())


def check_archive(archive: Path | bytes, *, times: int = 1) -> None:
    """Refuse a zip archive whose members, unpacked, are larger than the archive: a few bytes can be made to unpack to
    more than any memory holds.

    Args:
        archive: A file, or its content.
        times: How many times as large they may be; 1 for members that are not compressed.

    Raises:
        ValueError: It is such an archive, or none.
        OSError: It cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive) if isinstance(archive, bytes) else archive) as opened:
            members = opened.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None
    most = times * (len(archive) if isinstance(archive, bytes) else archive.stat().st_size)
    if (unpacked := sum(member.file_size for member in members)) > most:
        raise ValueError(f"it would unpack to {unpacked:,} bytes, more than {most:,}")
    if times == 1 and any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its members are compressed")
