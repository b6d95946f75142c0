"""Downloading a file: the only place with network access.

torchvision's own ``download_url`` writes under the final name, waits for ever on a silent server, and calls a body
that was cut short "corrupted" without saying why; addresses and checksums are still taken from torchvision.
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from data.files import appearing, sweep
from data.values import Say

SILENCE_SECONDS = 30.0
_CHUNK_BYTES = 1 << 18
_SAY_EVERY_SECONDS = 10.0


class DownloadError(Exception):
    """No address gave the file. The text is one line with each address and its cause."""


def download(urls: Sequence[str], target: Path, md5: str, say: Say) -> None:
    """Download a file from the first address that gives it whole; ``target`` appears complete or not at all.

    Args:
        urls: Addresses to try in order.
        target: The file to write; its folder is made.
        md5: The published hex md5 of the content.
        say: Told what is downloaded, and how far it is every 10 seconds.

    Raises:
        DownloadError: Every address failed, was cut short, or gave another content.
        OSError: The folder cannot be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in sweep(target.parent, f".{target.name}.*.part"):
        left.unlink(missing_ok=True)
    causes = []
    for url in urls:
        try:
            with appearing(target) as partial:
                say(f"downloading {url}")
                found = _stream(url, partial, say)
                if found != md5:
                    raise DownloadError(f"the content is not the published one (md5 {found}, expected {md5})")
            return
        except (OSError, ValueError, http.client.HTTPException, DownloadError) as error:
            causes.append(f"{url}: {_cause(error)}")
    raise DownloadError("; ".join(causes) or "no address is known")


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
    """What a user can use of an error: HTTP status and words, or the system's own."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    return str(error) or type(error).__name__
