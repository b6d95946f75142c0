"""Who drives a search, and whether that process still lives."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune.errors import UserError
from tune.record.disk import UnwritableError

DRIVER = "driver"  # the note in the record: who drives the search, or drove it last


class LostSearchError(UnwritableError):
    """Another driver took the search over; nothing may be written any more."""


def myself() -> dict[str, Any]:
    """This process, so that others on this machine can see whether it lives."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine(), "started": _started(os.getpid())}


def _machine() -> str:
    """One running system and one view of its processes: containers of one host differ."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began, in ticks; empty if there is none: a number alone is given out again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def is_here(holder: Mapping[str, Any]) -> bool:
    """Whether a holder is or was a process of this machine."""
    return bool(_machine()) and holder.get("machine") == _machine()


def lives(holder: Mapping[str, Any] | None) -> bool:
    """Whether the holder of a lease lives: here by its process, elsewhere by its time."""
    if not holder or not holder.get("until"):
        return False
    if is_here(holder):
        return bool(holder["started"]) and _started(holder["pid"]) == holder["started"]
    return time.time() < float(holder["until"])


def held(place: str, holder: Mapping[str, Any] | None) -> UserError:
    """The error for a search that is driven."""
    return UserError(f"{place} is driven by another search that lives ({named(holder)}); stop that one first")


def named(holder: Mapping[str, Any] | None) -> str:
    """A holder in messages."""
    return f"host {holder['host']}, pid {holder['pid']}" if holder and "pid" in holder else "unknown host and pid"
