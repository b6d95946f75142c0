"""Where chance comes from: one seed, and from it a stream of its own for every epoch and use.

An epoch's stream depends on the seed and the epoch's number alone, neither on what ran before in the process (workers
are reused) nor on where a training was resumed. The global generators of torch are borrowed, since layers such as
dropout draw from nothing else, and given back as they were; those of numpy and random are never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream_seed(seed: int, *use: int | str) -> int:
    """A seed for one use of an experiment's seed: the same on every machine and in every process, 0 <= seed < 2^63.

    For example `stream_seed(0, "epoch", 3)` for what is drawn in the third epoch.
    """
    digest = hashlib.sha256(repr((seed, *use)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators of the CPU and of the device, if that is CUDA; afterwards they are as before."""
    indices = [] if device.type == "cpu" else [_index(device)]
    with torch.random.fork_rng(indices):
        torch.default_generator.manual_seed(seed)
        for index in indices:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Use so many CPU threads within operations for the block: sums differ with their number. Afterwards as before."""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
