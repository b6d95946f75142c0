"""A search: an experiment, the fields of it that are searched, and how to search them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from search_spaces import Config, Space, write
from tune.spec.constraints import ConstraintsSpec
from tune.spec.dotted import with_values
from tune.spec.experiment import Experiment
from tune.spec.search_settings import SearchSettings


@dataclass(frozen=True)
class SearchSpec:
    """A valid search.

    Attributes:
        name: The name of its folder, and of the file that it came from.
        base: The experiment as a tree, every field that is not searched filled in.
        space: The searched fields.
        constraints: What the model of every trial must have.
        search: How to search.
        example: A configuration that can be trained.
        first: Configurations to try before the sampler proposes any.
    """

    name: str
    base: Mapping[str, Any]
    space: Space
    constraints: ConstraintsSpec
    search: SearchSettings
    example: Config
    first: tuple[Config, ...] = ()

    def experiment(self, config: Config) -> Experiment:
        """The experiment of one trial.

        Raises:
            pydantic.ValidationError: the values do not go together.
        """
        return Experiment.model_validate(with_values(self.base, config))

    @cached_property
    def sample(self) -> Experiment:
        """The experiment of the example; its fields that are not searched are those of every trial."""
        return self.experiment(self.example)

    @property
    def epochs(self) -> int | None:
        """Epochs after which the scheduler ends every trial; None if only the experiment decides."""
        return self.search.scheduler.longest

    @property
    def longest(self) -> int:
        """The number of epochs of the longest possible trial."""
        return self.search.longest(self.space, self.base)

    @property
    def seed(self) -> int:
        """The sampler's seed: the search's own, or the experiment's."""
        return self.sample.seed if self.search.seed is None else self.search.seed

    def to_tree(self) -> dict[str, Any]:
        """The YAML form; loading it gives an equal search."""
        return {
            "experiment": dict(self.base),
            "space": {field: write(domain) for field, domain in self.space.domains.items()},
            "constraints": self.constraints.model_dump(mode="json", exclude_none=True),
            "first": [dict(config) for config in self.first],
            "search": self.search.model_dump(mode="json"),
        }


def derived_seed(*parts: int) -> int:
    """A 32-bit seed that depends on every part, of which the first is a search's seed."""
    digest = hashlib.blake2b(" ".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
