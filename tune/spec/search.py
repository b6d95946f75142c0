"""A search: an experiment with fields left free, and how to search them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import BeforeValidator, ValidationInfo, field_validator, model_validator

from search_spaces import Config, Space, write
from tune.spec.base import Frozen
from tune.spec.dotted import with_values
from tune.spec.errors import shown
from tune.spec.experiment import Experiment
from tune.spec.metric import METRICS, Objective

Metric = Literal[
    "val_loss", "val_accuracy", "val_reconstruction", "val_kl",
    "train_loss", "train_accuracy", "train_reconstruction", "train_kl",
]  # fmt: skip
Mode = Literal["min", "max"]
Count = Annotated[int, Ge(1)]


def _natural(metric: str) -> Mode:
    return "max" if metric.endswith("accuracy") else "min"


class SchedulerSpec(Frozen):
    """Who is stopped early. asha: Li et al., arXiv 1810.05934; none: every trial runs all its epochs."""

    name: Literal["asha", "none"] = "asha"
    max_t: Count | None = None
    grace_period: Count = 1
    reduction_factor: Annotated[float, Gt(1)] = 3
    brackets: Count = 1


class SamplerSpec(Frozen):
    """Who proposes configurations: Optuna's TPE, or random. `startup_trials`: random ones before TPE models."""

    name: Literal["tpe", "random"] = "tpe"
    startup_trials: Annotated[int, Ge(0)] = 10


LEAST_SHARE = 1e-4  # of a CPU or GPU: Ray counts no finer


def _check_gpu(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "auto" or (number and (value == 0 or LEAST_SHARE <= value <= 1)):
        return value
    if number and 1 < value < float("inf") and value == int(value):
        return value
    raise ValueError(f"{shown(value)} is no share of a GPU; legal: auto, 0 to 1 (from {LEAST_SHARE}), a whole number")


class ResourcesSpec(Frozen):
    """What each trial reserves. `gpu: auto` is half a GPU where there is one, else 0."""

    cpu: Annotated[float, Ge(LEAST_SHARE)] = 1
    gpu: Annotated[float | Literal["auto"], BeforeValidator(_check_gpu)] = "auto"


class RetentionSpec(Frozen):
    """Disk: the best `best` trials keep their best checkpoint; live ones their last."""

    best: Count = 5


class FailureSpec(Frozen):
    """A trial that raises is tried again up to `retries` times; `consecutive` failed from the start end the search."""

    retries: Annotated[int, Ge(0)] = 1
    consecutive: Count = 5


class Bound(Frozen):
    """Limits of one quantity, inclusive; at least one of them."""

    min: Annotated[float, Ge(0)] | None = None
    max: Annotated[float, Ge(0)] | None = None

    @field_validator("max")
    @classmethod
    def _above_min(cls, most: float | None, info: ValidationInfo) -> float | None:
        least = info.data.get("min")
        if most is not None and least is not None and least > most:
            raise ValueError(f"{most:.12g} is below min {least:.12g}; legal: >= {least:.12g}")
        return most

    @model_validator(mode="after")
    def _bounds_something(self) -> Bound:
        if self.min is None and self.max is None:
            raise ValueError("bounds nothing; legal: min, max, or both")
        return self

    @property
    def legal(self) -> str:
        """The limits, in words."""
        limits = ((">=", self.min), ("<=", self.max))
        return " and ".join(f"{sign} {limit:.12g}" for sign, limit in limits if limit is not None)

    def holds(self, value: float) -> bool:
        """Whether the value lies within."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class ConstraintsSpec(Frozen):
    """What a configuration must keep to, known before it is trained. mult_adds are per image."""

    parameters: Bound | None = None
    mult_adds: Bound | None = None


class SearchSettings(Frozen):
    """How to search. `concurrent` None: as many trials at once as the resources hold."""

    metric: Metric = "val_loss"
    mode: Mode | None = None
    trials: Count = 50
    concurrent: Count | None = None
    seed: Annotated[int, Ge(0)] | None = None
    scheduler: SchedulerSpec = SchedulerSpec()
    sampler: SamplerSpec = SamplerSpec()
    resources: ResourcesSpec = ResourcesSpec()
    retention: RetentionSpec = RetentionSpec()
    failures: FailureSpec = FailureSpec()
    epoch_timeout: Annotated[float, Gt(0)] | None = None
    time_budget: Annotated[float, Gt(0)] | None = None

    @property
    def objective(self) -> Objective:
        """What trials are judged by."""
        return Objective(METRICS[self.metric])

    @property
    def direction(self) -> Mode:
        """The mode, by default what the metric's name says."""
        return self.mode or _natural(self.metric)

    @field_validator("mode")
    @classmethod
    def _seeks_the_best(cls, mode: Mode | None, info: ValidationInfo) -> Mode | None:
        metric = info.data.get("metric")
        if mode is not None and metric is not None and mode != _natural(metric):
            raise ValueError(f"{mode} seeks the worst {metric}; legal: {_natural(metric)}")
        return mode


@dataclass(frozen=True)
class SearchSpec:
    """A search, whole and checked: `base` holds every fixed field of the experiment as a tree."""

    name: str
    base: Mapping[str, Any]
    space: Space
    constraints: ConstraintsSpec
    search: SearchSettings
    example: Config
    """A configuration that is possible; what is fixed can be read off its experiment."""
    first: tuple[Config, ...] = ()
    """Known good configurations, tried before the sampler proposes."""

    def experiment(self, config: Config) -> Experiment:
        """The experiment of one trial.

        Raises:
            pydantic.ValidationError: the combination of values is impossible.
        """
        return Experiment.model_validate(with_values(self.base, config))

    @cached_property
    def sample(self) -> Experiment:
        """The experiment of the example: stands for all that is fixed."""
        return self.experiment(self.example)

    @property
    def epochs(self) -> int | None:
        """Epochs after which the scheduler ends every trial; None where the experiment alone decides."""
        scheduler = self.search.scheduler
        return scheduler.max_t if scheduler.name == "asha" else None

    @property
    def longest(self) -> int:
        """The most epochs that any trial can have."""
        domain = self.space.domains.get("training.epochs")
        epochs = max(domain.ends) if domain else self.sample.training.epochs
        return min(epochs, self.epochs or epochs)

    @property
    def seed(self) -> int:
        """The seed of the search (the sampler's): its own, else the experiment's."""
        return self.sample.seed if self.search.seed is None else self.search.seed

    def to_tree(self) -> dict[str, Any]:
        """The YAML form, from which `tune.spec.load` makes the same search again."""
        return {
            "experiment": dict(self.base),
            "space": {field: write(domain) for field, domain in self.space.domains.items()},
            "constraints": self.constraints.model_dump(mode="json", exclude_none=True),
            "first": [dict(config) for config in self.first],
            "search": self.search.model_dump(mode="json"),
        }
