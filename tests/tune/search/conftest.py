"""One Ray for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray with two CPUs and two GPUs that are none: what is scheduled on them runs on the CPU."""
    from tune.search.ray.cluster import connected

    with connected(num_cpus=2, num_gpus=2):
        yield
