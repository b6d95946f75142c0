"""Which process runs a search, so that others can tell whether it is alive, and name it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune.errors import UserError
from tune.record.folder import SearchFolder


def this_process() -> dict[str, Any]:
    """This process, so that others on this machine can tell whether it is alive."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine(), "started": _started(os.getpid())}


def _machine() -> str:
    """One running system and one view of its processes: containers on one host differ."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in ticks; empty if there is none. Process ids are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def is_here(holder: Mapping[str, Any]) -> bool:
    """Whether a process is one of this machine, and in this container."""
    return bool(_machine()) and holder.get("machine") == _machine()


def is_alive(holder: Mapping[str, Any] | None) -> bool:
    """Whether the holder of a lease is alive: on this machine by its process, elsewhere by its time."""
    if not holder or not holder.get("until"):
        return False
    if is_here(holder):
        return bool(holder["started"]) and _started(holder["pid"]) == holder["started"]
    return time.time() < float(holder["until"])


def named(holder: Mapping[str, Any] | None) -> str:
    """A process in messages."""
    return f"host {holder['host']}, pid {holder['pid']}" if holder and "pid" in holder else "unknown host and pid"


def running_elsewhere(folder: SearchFolder, holder: Mapping[str, Any] | None) -> UserError:
    """The error for a search that another process runs."""
    return UserError(f"{folder.path} is already being run by another process ({named(holder)}); stop that one first")
