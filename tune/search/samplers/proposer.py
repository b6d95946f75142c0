"""Proposes configurations that are new, possible and within the constraints.

Everything follows from the record, the search's seed and the new trial's number: a killed and resumed search proposes
the same configurations.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from search_spaces import Config, Space, config_key
from tune.record.status import Status
from tune.record.trial import PROPOSED, TrialRecord
from tune.search.samplers.sampler import Sampler
from tune.spec.search import derived_seed

RANDOM_ATTEMPTS = 1000  # random draws before a large space counts as exhausted
ENUMERABLE = 20_000  # spaces with at most this many configurations are enumerated instead
REFUSED = "refused"  # a trial's fact: configurations drawn before it that cannot be trained or break a constraint
TOLD = 5  # of these that samplers are told, for each trial
MOST_REFUSED = 20_000  # configurations that cannot be used in a row before the space counts as exhausted

Check = Callable[[Config], Mapping[str, Any] | None]
"""Facts about a configuration (parameters, mult_adds), or None if it is impossible or violates a constraint."""


@dataclass(frozen=True)
class Proposal:
    """A configuration to try, and what is known about it."""

    config: Config
    facts: Mapping[str, Any]


class Proposer:
    """Proposes configurations, each at most once: the sampler's, then any that is left."""

    def __init__(
        self, space: Space, sampler: Sampler, seed: int, check: Check, why_not: Callable[[], str] = lambda: ""
    ) -> None:
        """`why_not` says why the check refused configurations, if it was for the constraints."""
        self.why_not = why_not
        self._space, self._sampler, self._seed, self._check = space, sampler, seed, check
        self._known: dict[int, str] = {}  # keys of the configurations that trials have, by number
        self._refused: dict[int, list[TrialRecord]] = {}  # what could not be used, by the trial that was drawn instead

    def propose(self, trials: Sequence[TrialRecord], number: int, first: Sequence[Config] = ()) -> Proposal | None:
        """A configuration for the trial of this number; None if the space is exhausted.

        Args:
            trials: All trials so far; those of another search that this one learns from have negative numbers.
            number: The new trial's.
            first: Configurations to try before the sampler is asked.
        """
        for trial in trials:
            if trial.number not in self._known:
                self._known[trial.number] = config_key(trial.config)
        known = set(self._known.values())
        refused: list[Config] = []
        for proposed, config in self._candidates(trials, number, first):
            config = self._space.canonical(config)
            if (key := config_key(config)) not in known:
                known.add(key)
                if (facts := self._check(config)) is not None:
                    told = {REFUSED: refused[:TOLD]} if refused else {}
                    return Proposal(config, {**facts, **told, PROPOSED: proposed})
                refused.append(config)
                if len(refused) == MOST_REFUSED:
                    break
        return None

    @property
    def all_there_is(self) -> str:
        """What has been tried when there is no configuration left, to continue `every`."""
        return "point of the grid" if self._sampler.exhaustive else "feasible configuration"

    @property
    def weighs(self) -> bool:
        """As `Sampler.weighs`."""
        return self._sampler.weighs

    def promise(self, trials: Sequence[TrialRecord]) -> Mapping[int, float]:
        """As `Sampler.promise`."""
        return self._sampler.promise(trials)

    def facts(self, config: Config) -> Mapping[str, Any] | None:
        """What is known about a configuration without training it; None if it cannot be a trial of this search."""
        return self._check(config)

    def _infeasible(self, trials: Sequence[TrialRecord]) -> Iterator[TrialRecord]:
        """What could not be used, as trials from which a sampler learns; recorded with the trials drawn instead."""
        for trial in trials:
            if trial.number not in self._refused:
                self._refused[trial.number] = [
                    TrialRecord(-1_000_000 - TOLD * trial.number - index, dict(config), Status.INFEASIBLE)
                    for index, config in enumerate(trial.facts.get(REFUSED, ()))
                ]
            yield from self._refused[trial.number]

    def _candidates(
        self, trials: Sequence[TrialRecord], number: int, first: Sequence[Config]
    ) -> Iterator[tuple[str, Config]]:
        """Configurations, each with how it was found."""
        yield from (("first", config) for config in first)
        learned = [*trials, *self._infeasible(trials)] if number >= self._sampler.startup else trials
        limit = None if self._sampler.exhaustive else ENUMERABLE
        for config in islice(self._sampler.proposals(learned, number), limit):
            yield self._sampler.kind, config
        if not self._sampler.exhaustive:
            yield from (("random", config) for config in self._others(number))

    def _others(self, number: int) -> Iterator[Config]:
        """Any configurations, at random."""
        source = random.Random(derived_seed(self._seed, number, -1))
        limit = self._space.size_limit
        if limit is not None and limit <= ENUMERABLE:
            left = list(self._space.enumerate())
            source.shuffle(left)
            yield from left
        else:
            yield from (self._space.draw(source) for _ in range(RANDOM_ATTEMPTS))
