"""Grid search: every combination of values once, in random order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from search_spaces import Choice, Config, Domain, Int, Space, config_key
from tune.record.trial import TrialRecord
from tune.search.samplers.sampler import Sampler, Task
from tune.spec.options.samplers import GridSpec, SamplerSpec
from tune.spec.search import derived_seed

COUNTED = 100_000  # configurations that are counted one condition at a time


@dataclass(frozen=True)
class Values:
    """The values of one field by index. They are not listed, as there may be millions."""

    count: int
    at: Callable[[int], object]

    @classmethod
    def of(cls, domain: Domain, points: int | None) -> Values:
        """All values of a domain, or so many, evenly spaced and with both ends."""
        if isinstance(domain, Choice):
            return cls(len(domain.options), domain.options.__getitem__)
        if points is not None and (domain.size is None or points < domain.size):
            values = tuple(dict.fromkeys(domain.canonical(_between(domain, index, points)) for index in range(points)))
            return cls(len(values), values.__getitem__)
        assert domain.size is not None
        if isinstance(domain, Int):
            return cls(domain.size, range(domain.low, domain.high + 1, domain.step).__getitem__)
        low, step = domain.low, domain.step or 0.0
        return cls(domain.size, lambda index: domain.canonical(low + index * step))


def _between(domain: Domain, index: int, points: int) -> float:
    assert not isinstance(domain, Choice)
    share = index / (points - 1) if points > 1 else 0.5
    if domain.log:
        return math.exp(math.log(domain.low) + share * (math.log(domain.high) - math.log(domain.low)))
    value = domain.low + share * (domain.high - domain.low)
    return domain.low + round((value - domain.low) / domain.step) * domain.step if isinstance(domain, Int) else value


class Grid:
    """The configurations of a space by index, with as many values of each field as are asked for.

    A field is only varied where it is in play, so that no configuration is there twice.
    """

    def __init__(self, space: Space, points_of: Callable[[str, Domain], int | None]) -> None:
        self._space, self._fields = space, list(space.domains)
        self._values = {field: Values.of(domain, points_of(field, domain)) for field, domain in space.domains.items()}
        self._sizes: dict[tuple[int, str], int] = {}
        # For each field, those that its conditions and the conditions of later ones name.
        self._needed = [
            {parent for later in self._fields[index:] for parent, _ in space.domains[later].when}
            for index in range(len(self._fields) + 1)
        ]

    @property
    def size(self) -> int:
        """How many configurations there are."""
        return self._size(0, {})

    def _size(self, index: int, config: Config) -> int:
        """How many configurations begin with these values of the first `index` fields."""
        if index == len(self._fields):
            return 1
        key = (index, config_key({field: config[field] for field in self._needed[index] if field in config}))
        if key not in self._sizes:
            field, values = self._fields[index], self._values[self._fields[index]]
            if not self._space.in_play(field, config):
                size = self._size(index + 1, config)
            elif field in self._needed[index + 1]:
                size = sum(self._size(index + 1, {**config, field: values.at(i)}) for i in range(values.count))
            else:
                size = values.count * self._size(index + 1, config)
            self._sizes[key] = size
        return self._sizes[key]

    def __getitem__(self, number: int) -> Config:
        config: Config = {}
        for index, field in enumerate(self._fields):
            if not self._space.in_play(field, config):
                continue
            values = self._values[field]
            if field not in self._needed[index + 1]:
                chosen, number = divmod(number, self._size(index + 1, config))
                config[field] = values.at(chosen)
                continue
            for chosen in range(values.count):
                size = self._size(index + 1, {**config, field: values.at(chosen)})
                if number < size:
                    break
                number -= size
            config[field] = values.at(chosen)
        return config


def grid_of(space: Space, sampler: SamplerSpec) -> Grid | None:
    """All configurations that a sampler may propose; None where there are more than any search tries."""
    if isinstance(sampler, GridSpec):
        return Grid(space, lambda field, domain: sampler.points_of(field, continuous=domain.size is None))
    few = space.size_limit is not None and space.size_limit <= COUNTED
    return Grid(space, lambda field, domain: None) if few else None


class GridSampler(Sampler):
    """The points of a grid in an order that depends on the seed, so that a part of it covers the whole space."""

    kind = "grid"
    exhaustive = True

    def __init__(self, task: Task) -> None:
        grid = grid_of(task.space, task.spec)
        assert grid is not None
        self._grid, self._size, self._seed = grid, grid.size, task.seed
        self._next = 0  # the points before this one are trials, or impossible

    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        """As `Sampler.proposals`."""
        while self._next < self._size:
            yield self._grid[shuffled(self._next, self._size, self._seed)]
            self._next += 1  # asked for another: it was taken before, or is impossible


def shuffled(index: int, size: int, seed: int) -> int:
    """Where a permutation of range(size) puts an index, without listing it.

    A Feistel network, applied until the result is in the range (Black and Rogaway 2002, "Ciphers with Arbitrary Finite
    Domains", section 4).
    """
    half = max((size - 1).bit_length() + 1, 2) // 2
    while True:
        left, right = index >> half, index & ((1 << half) - 1)
        for turn in range(4):
            key = random.Random(derived_seed(seed, turn, right)).getrandbits(half)
            left, right = right, left ^ key
        index = left << half | right
        if index < size:
            return index
