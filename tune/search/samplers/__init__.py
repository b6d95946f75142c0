"""Which configuration to try next: the samplers that `search.sampler.name` may name."""

from __future__ import annotations

import math
from collections.abc import Callable

from tune.search.samplers.gp import GaussianProcessSampler
from tune.search.samplers.optuna_samplers import tpe, uniform
from tune.search.samplers.sampler import Sampler, Task
from tune.search.schedulers.verdict import Scheduler
from tune.spec.search import SearchSpec

__all__ = ["SAMPLERS", "Sampler", "Task", "sampler_of"]

SAMPLERS: dict[str, Callable[[Task], Sampler]] = {"gp": GaussianProcessSampler, "tpe": tpe, "random": uniform}
"""By name, as in `SamplerSpec.name`."""


def sampler_of(spec: SearchSpec, scheduler: Scheduler | None) -> Sampler:
    """The sampler of a search."""
    rungs = {epoch for epoch, _ in scheduler.rungs} if scheduler is not None else set()
    rungs = rungs or {math.ceil(spec.longest / 3**power) for power in range(10)}
    task = Task(spec.space, spec.search.sampler, spec.search.objective, spec.longest, tuple(sorted(rungs)), spec.seed)
    return SAMPLERS[task.spec.name](task)
