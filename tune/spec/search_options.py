"""The options of samplers and schedulers: a specification for each, by the names that a search uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Ge, Gt
from pydantic import BeforeValidator, SerializeAsAny, ValidationError, create_model

from tune.spec.base import Frozen, NestedError
from tune.spec.errors import shown

Count = Annotated[int, Ge(1)]


class Named(Frozen):
    """One of several kinds, each with options of its own.

    Attributes:
        earlier: Options of earlier versions, which files may still have, and their names today; None: it has no effect.
    """

    earlier: ClassVar[Mapping[str, str | None]] = {}

    name: str

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Any:
        """The specification in a mapping.

        Raises:
            NestedError: It is invalid.
        """
        renamed = {old: new for old, new in cls.earlier.items() if old in tree and new not in tree}
        kept = {renamed.get(key, key): value for key, value in tree.items() if renamed.get(key, key) is not None}
        try:
            return cls.model_validate(kept)
        except ValidationError as error:
            raise NestedError(cls, error) from None


class SamplerSpec(Named):
    """What proposes configurations; each sampler has a subclass."""


class LearningSpec(SamplerSpec):
    """Samplers that learn from results.

    Attributes:
        startup: Configurations at the start that do not depend on results.
    """

    earlier: ClassVar = {"startup_trials": "startup"}

    startup: Annotated[int, Ge(0)] = 10


class GpSpec(LearningSpec):
    """A Gaussian process that learns from unfinished trials."""

    name: Literal["gp"] = "gp"
    startup: Annotated[int, Ge(0)] = 8  # a Sobol sequence covers a space evenly after 2, 4, 8, ... points


class TpeSpec(LearningSpec):
    """Optuna's Tree-structured Parzen Estimator."""

    name: Literal["tpe"] = "tpe"


class RandomSpec(SamplerSpec):
    """Random search."""

    earlier: ClassVar = {"startup_trials": None}

    name: Literal["random"] = "random"


def _check_points(value: Any) -> Any:
    numbers = list(value.values()) if isinstance(value, Mapping) else [] if value is None else [value]
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 1 for number in numbers):
        what = "a whole number of at least 1, or a mapping of fields to such numbers"
        raise ValueError(f"must be {what} (got {shown(value)})")
    return value


class GridSpec(SamplerSpec):
    """Every combination of values once, in random order; then the search ends.

    Attributes:
        points: How many values of a float without steps, ends included; or a mapping of fields to such numbers.
    """

    name: Literal["grid"] = "grid"
    points: Annotated[int | Mapping[str, int] | None, BeforeValidator(_check_points)] = None

    def points_of(self, field: str, *, continuous: bool) -> int | None:
        """How many values of a field to try; None for all of them."""
        if isinstance(self.points, Mapping):
            return self.points.get(field)
        return self.points if continuous else None


class QmcSpec(SamplerSpec):
    """Quasi-Monte Carlo: a scrambled Sobol sequence, which covers the space more evenly than random points."""

    name: Literal["qmc"] = "qmc"


class Nsga2Spec(SamplerSpec):
    """Optuna's genetic algorithm NSGA-II, for several objectives.

    Attributes:
        population: Trials of a generation; the first generation is random.
    """

    name: Literal["nsga2"] = "nsga2"
    population: Annotated[int, Ge(2)] = 20


SAMPLERS: dict[str, type[SamplerSpec]] = {
    "gp": GpSpec,
    "tpe": TpeSpec,
    "random": RandomSpec,
    "grid": GridSpec,
    "qmc": QmcSpec,
    "nsga2": Nsga2Spec,
}


class SchedulerSpec(Named):
    """Which trials are stopped early; each scheduler has a subclass."""

    @property
    def longest(self) -> int | None:
        """Epochs after which every trial ends; None if only the experiment decides."""
        return None

    @property
    def grace(self) -> int | None:
        """Epochs that a trial runs at least; None if none is stopped early."""
        return None

    @property
    def pauses(self) -> bool:
        """Whether trials are paused, and continue only if they are promoted."""
        return False


class JudgingSpec(SchedulerSpec):
    """Schedulers that compare trials.

    Attributes:
        max_t: Epochs after which every trial ends; by default those of the experiment.
        grace_period: Epochs that a trial runs at least.
    """

    max_t: Count | None = None
    grace_period: Count = 1

    @property
    def longest(self) -> int | None:
        """As `SchedulerSpec.longest`."""
        return self.max_t

    @property
    def grace(self) -> int | None:
        """As `SchedulerSpec.grace`."""
        return self.grace_period


class HalvingSpec(JudgingSpec):
    """Successive halving: trials are compared after `grace_period * reduction_factor ** k` epochs.

    Attributes:
        type: stopping ends a trial that is not among the best; promotion pauses every trial, and continues it once it
            is among the best and a worker is free.
        reduction_factor: One in this many trials continues at each comparison.
        brackets: Groups of trials that are compared among themselves, each starting one comparison later; None: as
            many as there are comparisons.
    """

    type: Literal["stopping", "promotion"]
    reduction_factor: Annotated[float, Gt(1)] = 3
    brackets: Count | None

    @property
    def pauses(self) -> bool:
        """As `SchedulerSpec.pauses`."""
        return self.type == "promotion"


class AshaSpec(HalvingSpec):
    """Asynchronous successive halving (Li et al. 2018, https://arxiv.org/abs/1810.05934)."""

    name: Literal["asha"] = "asha"
    type: Literal["stopping", "promotion"] = "stopping"
    brackets: Count = 1


class HyperbandSpec(HalvingSpec):
    """Asynchronous Hyperband: several brackets of asha, for searches in which it is not known when trials can be told.

    By default as many as there are comparisons, so that the trials of the last bracket are not stopped early.
    """

    name: Literal["hyperband"] = "hyperband"
    type: Literal["stopping", "promotion"] = "promotion"
    brackets: Count | None = None


class MedianSpec(JudgingSpec):
    """The median stopping rule (Golovin et al. 2017, Google Vizier, section 3.2).

    A trial stops if its best value so far is worse than the median of the other trials' averages up to this epoch.

    Attributes:
        min_trials: How many other trials must have reached the epoch.
    """

    name: Literal["median"] = "median"
    min_trials: Count = 3


class NoSchedulerSpec(SchedulerSpec):
    """Every trial runs to its end. Options of asha, which earlier versions wrote beside it, have no effect."""

    earlier: ClassVar = dict.fromkeys(("type", "max_t", "grace_period", "reduction_factor", "brackets"))

    name: Literal["none"] = "none"


SCHEDULERS: dict[str, type[SchedulerSpec]] = {
    "asha": AshaSpec,
    "hyperband": HyperbandSpec,
    "median": MedianSpec,
    "none": NoSchedulerSpec,
}

N = TypeVar("N", bound=Named)


def _by_name(kinds: Mapping[str, type[N]], default: str) -> BeforeValidator:
    """Reads a mapping as the specification that its `name` says."""

    def parse(value: Any) -> Any:
        if isinstance(value, Named):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a mapping of fields to values (got {shown(value)})")
        name = value.get("name", default)
        if isinstance(name, str) and name in kinds:
            return kinds[name].of(value)
        names: Any = Literal[tuple(kinds)]
        known = create_model("known", __base__=Frozen, name=(names, default))
        try:
            return known.model_validate({"name": name})
        except ValidationError as error:
            raise NestedError(known, error) from None

    return BeforeValidator(parse)


AnySampler = Annotated[SerializeAsAny[SamplerSpec], _by_name(SAMPLERS, "tpe")]
AnyScheduler = Annotated[SerializeAsAny[SchedulerSpec], _by_name(SCHEDULERS, "asha")]


def without_foreign(section: str, tree: Mapping[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """The options of a file without those that the sampler or scheduler named does not have, unless `given` now."""
    kinds: Mapping[str, type[Named]] = SAMPLERS if section == "sampler" else SCHEDULERS
    name = tree.get("name")
    if not isinstance(name, str) or name not in kinds:
        return dict(tree)
    known = {*kinds[name].model_fields, *kinds[name].earlier, *given}
    return {key: value for key, value in tree.items() if key in known}
