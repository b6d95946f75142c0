"""What a process sets for itself: variables that the C library and torch read when loaded, and garbage collection."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

MALLOC = {
    "MALLOC_ARENA_MAX": "1",  # one heap for all threads: only the main one can grow without limit
    "MALLOC_MMAP_MAX_": "0",  # large blocks from the heap too, not from mappings that are undone when freed
    "MALLOC_TRIM_THRESHOLD_": str(2047 * 2**20),  # keep free memory at the heap's end up to this size
}
"""Make glibc keep freed memory: `tune.training.process.keep_freed_memory` says why, and does it while one runs."""

OPENMP = {"GOMP_SPINCOUNT": "10000"}
"""How long torch's CPU threads spin at a barrier before they sleep, in iterations.

The default of GNU OpenMP, 300,000, lets two threads hinder each other as soon as another process needs one of their
cores (tests/benchmarks/NOTES.md).
"""


def training_environment() -> dict[str, str]:
    """The variables for a process to be started, with the values that the user has set for this one, if any."""
    openmp = {} if "OMP_WAIT_POLICY" in os.environ else OPENMP
    return {name: os.environ.get(name, value) for name, value in (MALLOC | openmp).items()}


def prepare_openmp() -> None:
    """Set what torch reads when it is imported, unless the user has; to be called before that."""
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in OPENMP.items():
            os.environ.setdefault(name, value)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Build many objects that stay: to look through them again and again for cycles would take a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
