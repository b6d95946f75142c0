"""The interface of samplers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from search_spaces import Config, Space
from tune.record.trial import TrialRecord
from tune.spec.metric import Objective
from tune.spec.options.samplers import SamplerSpec

RANDOM_START = "random start"  # the kind of a proposal that does not depend on results, where later ones will


@dataclass(frozen=True)
class Task:
    """What a sampler proposes configurations for.

    Attributes:
        space: The searched fields.
        spec: The sampler's name and options.
        objective: What trials are judged by.
        epochs: Of the longest trial.
        rungs: Epochs at which the scheduler judges trials, ascending; `epochs` is the last.
        seed: Of the search.
    """

    space: Space
    spec: SamplerSpec
    objective: Objective
    epochs: int
    rungs: tuple[int, ...]
    seed: int


class Sampler(ABC):
    """Proposes configurations from what is recorded.

    What it remembers between calls only saves time: the same trials, number and seed give the same proposals.

    Attributes:
        kind: How the configuration that it has just proposed was found, for tables: `random start`, `explore` ...
        startup: Trials at the start that do not depend on results, if the others do.
        exhaustive: Whether its proposals are all that the search is to try; else any other configuration may follow.
        weighs: Whether it can tell which unfinished trials are worth going on with (`promise`).
    """

    kind: str = ""
    startup: int = 0
    exhaustive: bool = False
    weighs: bool = False

    @abstractmethod
    def proposals(self, trials: Sequence[TrialRecord], number: int) -> Iterator[Config]:
        """Configurations for a new trial, the best first: the next is asked for if the one before cannot be used.

        Args:
            trials: All trials so far, whatever their status; those of another search that this one learns from, and
                configurations that did not meet the constraints, have negative numbers.
            number: The new trial's.
        """

    def promise(self, trials: Sequence[TrialRecord]) -> Mapping[int, float]:
        """By number, how much each trial may gain on the best by its last epoch (large is good); empty if unknown.

        Args:
            trials: All trials so far; those of another search that this one learns from have negative numbers.
        """
        return {}
