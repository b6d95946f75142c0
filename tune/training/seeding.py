"""Random numbers: from an experiment's one seed, a stream of its own for every epoch and use.

An epoch's stream depends on the seed and the number of the epoch alone, not on what ran before in the process (workers
are reused) or where a training was resumed. Layers such as dropout draw from torch's global generators, which are
seeded for a block and restored afterwards; those of numpy and random are never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
