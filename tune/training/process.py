"""What a process that trains sets for itself: threads, and memory that it keeps."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tune.environment import MALLOC

# mallopt(3): the number of each parameter in glibc's malloc.h.
_MALLOPT = {"MALLOC_ARENA_MAX": -8, "MALLOC_MMAP_MAX_": -4, "MALLOC_TRIM_THRESHOLD_": -1}


def keep_freed_memory() -> bool:
    """Make this process keep memory that operations free, for the next ones; returns whether it could (glibc only).

    The tensors of a CPU training step are so large that glibc returns each to the system, which zeroes its pages for
    the next step: 100,000 to a million page faults per epoch of simple_cnn, 5 to 50 % of its time, most on a busy
    machine (tests/benchmarks/NOTES.md). In exchange, the process keeps up to 2 GiB that it once needed.

    For programs that train, to be called as they start: the setting lasts as long as the process.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    accepted = [mallopt(_MALLOPT[name], int(value)) == 1 for name, value in MALLOC.items()]
    return all(accepted)


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Use this number of CPU threads within operations for the block. Sums depend on it."""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
