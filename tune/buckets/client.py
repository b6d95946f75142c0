"""S3 by pyarrow: few requests, short waits, and errors as one line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from tune.buckets.address import SCHEME
from tune.errors import UserError

ATTEMPTS = 2  # of each request; `tune.record.disk` waits longer where that makes sense
CONNECTING = 3.0  # seconds
CHUNK = 2**24  # bytes that are read at once

_DENIED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "EXPIRED_TOKEN", "UNRECOGNIZED_CLIENT")

T = TypeVar("T")


class StorageError(UserError, OSError):
    """A bucket cannot be read or written to; the line ends with what to do, `problem` does not."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.strerror = self.args[0]
        self.problem = self.strerror.rpartition("; ")[0] or self.strerror


class Entry(NamedTuple):
    """A file in a bucket: its size in bytes, and when it was written, in nanoseconds since 1970."""

    size: int
    time: int


def listing(url: str) -> Mapping[str, Entry]:
    """The files below a folder, by their names relative to it; one request for a thousand."""
    from pyarrow.fs import FileSelector, FileType

    key = url[len(SCHEME) :]
    with _explained(url):
        try:
            found = _files(url).get_file_info(FileSelector(key, recursive=True))
        except FileNotFoundError:
            return {}
    return {info.path[len(key) + 1 :]: Entry(info.size, info.mtime_ns) for info in found if info.type == FileType.File}


def folders(url: str) -> list[str]:
    """The names of the folders in a folder, by name."""
    from pyarrow.fs import FileSelector, FileType

    with _explained(url):
        found = _files(url).get_file_info(FileSelector(url[len(SCHEME) :], allow_not_found=True))
    return sorted(info.base_name for info in found if info.type == FileType.Directory)


def entry(url: str) -> Entry | None:
    """A file; None if there is none."""
    from pyarrow.fs import FileType

    with _explained(url):
        info = _files(url).get_file_info(url[len(SCHEME) :])
    return Entry(info.size, info.mtime_ns) if info.type == FileType.File else None


def upload(path: Path, url: str) -> Entry:
    """Upload a file, whole or not at all, and replace what was there.

    Raises:
        StorageError: The bucket is as before.
    """
    content = path.read_bytes()  # before the upload begins: pyarrow completes one that an exception cuts off

    def write() -> None:
        with _files(url).open_output_stream(url[len(SCHEME) :]) as stream:
            stream.write(content)

    with _explained(url):
        _uninterrupted(write)
    found = entry(url)
    if found is None or found.size != len(content):
        raise StorageError(f"{url} was replaced while it was written; let one process at a time write to it")
    return found


def download(url: str, path: Path) -> None:
    """Write a file's content to a path.

    Raises:
        StorageError: The bucket cannot be read.
        FileNotFoundError: There is no such file.
    """
    with _explained(url):
        stream = _files(url).open_input_file(url[len(SCHEME) :])
    with stream, path.open("xb") as file:
        while True:
            with _explained(url):
                chunk = stream.read(CHUNK)
            if not chunk:
                return
            file.write(chunk)


def probe(url: str) -> None:
    """Write an empty file and delete it."""
    with _explained(url):
        _files(url).open_output_stream(url[len(SCHEME) :]).close()
    delete(url)


def copy(url: str, to: str) -> Entry | None:
    """Copy a file within a bucket."""
    with _explained(url):
        _files(url).copy_file(url[len(SCHEME) :], to[len(SCHEME) :])
    return entry(to)


def delete(url: str) -> None:
    """Delete a file, if it is there."""
    with _explained(url), suppress(FileNotFoundError):
        _files(url).delete_file(url[len(SCHEME) :])


def delete_folder(url: str) -> None:
    """Delete a folder with all that is in it, if it is there."""
    with _explained(url), suppress(FileNotFoundError):
        _files(url).delete_dir(url[len(SCHEME) :])


def _uninterrupted(work: Callable[[], T]) -> T:
    """Do it in a thread, where no signal raises an exception."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def _files(url: str) -> Any:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")
    return _file_system(url[len(SCHEME) :].partition("/")[0], *(os.environ.get(name) for name in names))


@lru_cache
def _file_system(bucket: str, *settings: str | None) -> Any:
    """Pyarrow's file system for a bucket; it takes the credentials from where AWS's own programs do."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    endpoint = urlsplit(settings[0] or settings[1] or "")
    region = settings[2] or settings[3] or ("us-east-1" if endpoint.netloc else resolve_s3_region(bucket))
    return S3FileSystem(
        region=region,
        scheme=endpoint.scheme or "https",
        endpoint_override=endpoint.netloc or None,
        connect_timeout=CONNECTING,
        request_timeout=CONNECTING,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # small files are one request
    )


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn pyarrow's errors into one line, except that a file is missing."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _storage_error(url, str(error)) from None


def _storage_error(url: str, text: str) -> StorageError:
    bucket = SCHEME + url[len(SCHEME) :].partition("/")[0]
    found = re.search(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))?", text)
    code, status = found.groups() if found else ("", "")
    if code == "NO_SUCH_BUCKET" or re.search(r"[Bb]ucket '[^']*' not found", text):
        return StorageError(f"{bucket}: there is no such bucket; create it, or use another --out")
    if code in _DENIED or status == "403":
        return StorageError(
            f"{url}: access denied ({code.lower().replace('_', ' ')}); "
            "check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws) and what they may do there",
        )
    detail = re.sub(r".*(?:Details?|operation): |\(Request ID.*", "", text, flags=re.DOTALL).strip().rstrip(".")
    if code == "NETWORK_CONNECTION":
        detail = "it does not answer" if "too slow" in detail else detail
        return StorageError(f"{bucket} cannot be reached: {detail}; check the network and AWS_ENDPOINT_URL")
    return StorageError(f"{url}: {detail or text}; check the bucket and AWS_ENDPOINT_URL")
