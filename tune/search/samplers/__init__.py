"""Which configuration to try next: the samplers that `search.sampler.name` may name."""

from __future__ import annotations

import math
from collections.abc import Callable

from data.words import counted
from search_spaces import Space
from tune.search.samplers.encoding import Encoding
from tune.search.samplers.gp import GaussianProcessSampler
from tune.search.samplers.grid import GridSampler
from tune.search.samplers.nsga2 import nsga2
from tune.search.samplers.qmc import QuasiRandomSampler
from tune.search.samplers.random_search import RandomSearch
from tune.search.samplers.sampler import Sampler, Task
from tune.search.samplers.tpe import tpe
from tune.search.schedulers.verdict import Scheduler
from tune.spec.options.samplers import GpSpec, TpeSpec
from tune.spec.search import SearchSpec

__all__ = ["SAMPLERS", "Sampler", "Task", "sampler_of"]

SAMPLERS: dict[str, Callable[[Task], Sampler]] = {
    "gp": GaussianProcessSampler,
    "tpe": tpe,
    "random": RandomSearch,
    "grid": GridSampler,
    "qmc": QuasiRandomSampler,
    "nsga2": nsga2,
}
"""By name, as in `tune.spec.options.samplers.SAMPLERS`."""

MOST_COORDINATES = 100  # of a space that the Gaussian process is used for
MOST_CONDITIONAL = 20  # fields with a `when`; where most are not in play, distances mean little


def sampler_of(spec: SearchSpec, scheduler: Scheduler, say: Callable[[str], None] = lambda text: None) -> Sampler:
    """The sampler of a search. Says so if another is used because the space does not suit the one asked for."""
    rungs = {epoch for epoch, _ in scheduler.rungs} or {math.ceil(spec.longest / 3**power) for power in range(10)}
    options = spec.search.sampler
    if isinstance(options, GpSpec) and (why := too_odd(spec.space)):
        say(f"the sampler gp does not suit a space with {why}; using tpe instead")
        options = TpeSpec(startup=options.startup)
    task = Task(spec.space, options, spec.search.objective, spec.longest, tuple(sorted(rungs)), spec.seed)
    return SAMPLERS[options.name](task)


def too_odd(space: Space) -> str:
    """Why a Gaussian process does not suit the space; empty where it does."""
    encoding = Encoding(space)
    coordinates = encoding.features(encoding.points([space.fill({})])).shape[1]
    conditional = sum(bool(domain.when) for domain in space.domains.values())
    if conditional > MOST_CONDITIONAL:
        return counted(conditional, "conditional field")
    many = f"{coordinates} coordinates (one for a number, one for each value of any other field)"
    return many if coordinates > MOST_COORDINATES else ""
