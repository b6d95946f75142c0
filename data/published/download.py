"""Downloading a file: the only place with network access. URLs and checksums come from torchvision.

Why not a library: torchvision's ``download_url`` writes to the final name, has no timeout, and reports an incomplete
file only as corrupted. pooch has neither mirrors nor progress without a terminal, leaves temporary files behind when
killed, and decompresses .gz files that a server marks as encoded, so that checksums fail; a wrapper around it that does
all of this would be as long as this file.
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from data.files import PARTIAL, appearing, sweep
from data.values import Say

SILENCE_SECONDS = 30.0
_CHUNK_BYTES = 1 << 18
_SAY_EVERY_SECONDS = 10.0


class DownloadError(Exception):
    """The file could not be downloaded. The text is one line with each URL and the reason."""


def download(urls: Sequence[str], target: Path, md5: str, say: Say) -> None:
    """Download a file from the first URL that works; ``target`` is written completely or not at all.

    Args:
        urls: URLs to try in order.
        target: The file to write; its folder is created.
        md5: Hex md5 of the published content.
        say: Called with the URL, and with the progress every 10 seconds.

    Raises:
        DownloadError: Every URL failed, or returned incomplete or other content.
        OSError: The folder cannot be created.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in sweep(target.parent, f".{PARTIAL}"):
        left.unlink(missing_ok=True)
    causes = []
    for url in urls:
        try:
            with appearing(target) as partial:
                say(f"downloading {url}")
                found = _stream(url, partial, say)
                if found != md5:
                    raise DownloadError(f"the content differs from the published file (md5 {found} instead of {md5})")
            return
        except (OSError, ValueError, http.client.HTTPException, DownloadError) as error:
            causes.append(f"{url}: {_cause(error)}")
    raise DownloadError("; ".join(causes) or "no URL is known")


def _stream(url: str, partial: Path, say: Say) -> str:
    """Write the body of ``url`` to ``partial`` and return its hex md5."""
    digest, done, told = hashlib.md5(usedforsecurity=False), 0, time.monotonic()
    request = urllib.request.Request(url, headers={"User-Agent": "imagetune"})
    with urllib.request.urlopen(request, timeout=SILENCE_SECONDS) as response, partial.open("wb") as file:
        length = response.headers.get("Content-Length")
        whole = f"{int(length):,}" if length else "an unknown number of"
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if time.monotonic() - told > _SAY_EVERY_SECONDS:
                told = time.monotonic()
                say(f"downloading {url}: {done:,} of {whole} bytes")
    if length and done != int(length):
        raise DownloadError(f"the connection closed after {done:,} of {whole} bytes")
    return digest.hexdigest()


def _cause(error: Exception) -> str:
    """An error in a few words: HTTP status and reason, or the system's message."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    return str(error) or type(error).__name__
