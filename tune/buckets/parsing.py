"""The URL of a folder in S3, as a user gives it."""

from __future__ import annotations

import re
from pathlib import Path

from data.words import quoted
from tune.buckets.address import SCHEME, root
from tune.errors import UserError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|s3:/", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL, also one that cannot be used."""
    return _URL.match(text) is not None


def folder_of(text: str) -> Path:
    """The folder on this machine: a path itself, or the mirror of an `s3://` URL.

    Raises:
        UserError: it is another URL, or names no folder of a bucket.
    """
    if not is_url(text):
        return Path(text)
    if problem := _problem(text):
        raise UserError(f"{_without_secrets(text)}: {problem}; use s3://BUCKET/FOLDER, or a folder on this machine")
    return root().joinpath(*text[len(SCHEME) :].rstrip("/").split("/"))


def _problem(url: str) -> str:
    """What is wrong with a URL; empty if nothing is."""
    if not url.startswith(SCHEME):
        scheme = url.partition(":")[0]
        return "one slash is missing" if scheme == "s3" else f"{quoted(scheme)} is not supported"
    bucket, *folders = url[len(SCHEME) :].rstrip("/").split("/")
    if "@" in bucket or ":" in bucket:
        return "credentials do not belong into a URL, where others see them, but into the environment or ~/.aws"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        return "it names no bucket"
    if "?" in url or "#" in url:
        return "it contains ? or #"
    if not all(usable(part) for part in folders):
        return "a part of it is empty, begins with a dot, or contains control characters"
    return ""


def usable(name: str) -> bool:
    """Whether a part of a key can be the name of a file in a mirror."""
    return name != "" and not name.startswith(".") and name.isprintable() and len(name.encode()) <= 255


def _without_secrets(url: str) -> str:
    return re.sub(r"://[^/]*@", "://", url.partition("?")[0])
