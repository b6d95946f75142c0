"""What a process that trains sets for itself: random generators, threads, memory that it keeps, no compiler.

From an experiment's one seed comes a stream of random numbers for every epoch and use. An epoch's stream depends on the
seed and the number of the epoch alone, not on what ran before in the process (workers are reused) or where a training
was resumed. Layers such as dropout draw from torch's global generators, which are seeded for a block and restored
afterwards; those of numpy and random are never touched.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer

from tune.environment import MALLOC

# mallopt(3): the number of each parameter in glibc's malloc.h.
_MALLOPT = {"MALLOC_ARENA_MAX": -8, "MALLOC_MMAP_MAX_": -4, "MALLOC_TRIM_THRESHOLD_": -1}


def stream_seed(seed: int, *use: int | str) -> int:
    """A seed for one use of an experiment's seed: the same on every machine and in every process, 0 <= seed < 2^63.

    For example `stream_seed(0, "epoch", 3)` for the random numbers of the third epoch.
    """
    digest = hashlib.sha256(repr((seed, *use)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators of the CPU and of a CUDA device for the block, and restore them afterwards."""
    indices = [] if device.type == "cpu" else [_index(device)]
    with torch.random.fork_rng(indices):
        torch.default_generator.manual_seed(seed)
        for index in indices:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def prepare_process() -> None:
    """What a program that trains does as it starts: keep freed memory, leave out torch's compiler."""
    keep_freed_memory()
    leave_out_compiler()


def leave_out_compiler() -> None:
    """Let torch's optimizers work without its compiler, for as long as this process lasts.

    Nothing is compiled here, but whatever an optimizer does begins by importing `torch._dynamo`, in 1.5 s: longer than
    many a short training. Its methods without that are what their decorators have wrapped.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        setattr(Optimizer, name, inspect.unwrap(getattr(Optimizer, name)))
    for kind in Optimizer.__subclasses__():
        if kind.__module__.startswith("torch.") and "step" in vars(kind):
            kind.step = torch.no_grad()(inspect.unwrap(kind.step))  # type: ignore[method-assign]


def keep_freed_memory() -> bool:
    """Make this process keep memory that operations free, for the next ones; returns whether it could (glibc only).

    The tensors of a CPU training step are so large that glibc returns each to the system, which zeroes its pages for
    the next step: 100,000 to a million page faults per epoch of simple_cnn, 5 to 50 % of its time, most on a busy
    machine (tests/benchmarks/NOTES.md). In exchange, the process keeps up to 2 GiB that it once needed.

    The setting lasts as long as the process.
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
