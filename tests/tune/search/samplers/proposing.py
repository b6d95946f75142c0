"""A space with every kind of field, and a proposer with the trials that it is asked with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces import Config, parse_space
from tests.tune.search.simulation import LOSS
from tune.record.trial import TrialRecord
from tune.search.samplers import SAMPLERS, Task
from tune.search.samplers.proposer import Proposal, Proposer
from tune.spec.options.samplers import SAMPLERS as OPTIONS

FREE: Mapping[str, Any] = {
    "lr": {"float": [1e-5, 1e-1], "log": True},
    "width": {"int": [8, 256], "log": True},
    "kind": {"choice": ["a", "b", ["c", 1], None]},
    "momentum": {"float": [0.5, 0.95], "step": 0.05, "when": {"kind": ["a", "b"]}},
}


def anything(config: Config) -> Mapping[str, Any]:
    return {}


class Search:
    """A proposer and the trials that it is asked with."""

    def __init__(self, made: Proposer) -> None:
        self.made, self.trials = made, list[TrialRecord]()

    def propose(self) -> Proposal | None:
        return self.made.propose(self.trials, len(self.trials))


def proposer(
    check: Any = anything,
    name: Any = "tpe",
    raw: Mapping[str, Any] = FREE,
    seed: int = 3,
    options: Mapping[str, Any] | None = None,
) -> Search:
    space, problems = parse_space(raw, {})
    assert not problems
    task = Task(space, OPTIONS[name].of({"name": name, **(options or {})}), LOSS, 9, (1, 3, 9), seed)
    return Search(Proposer(space, SAMPLERS[name](task), seed, check))
