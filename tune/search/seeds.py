"""Seeds derived from a search's seed."""

from __future__ import annotations

import hashlib


def derived_seed(*parts: int) -> int:
    """A 32-bit seed that depends on every part."""
    digest = hashlib.blake2b(" ".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
