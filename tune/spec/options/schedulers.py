"""The options of schedulers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Gt
from pydantic import SerializeAsAny

from tune.spec.base import Count
from tune.spec.options.named import Named, by_name


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
        grace_period: Epochs that every trial is trained for at least.
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
        type: stopping ends a trial that is not among the best; promotion pauses every trial, and continues it once a
            worker is free and it is among the best, or the one from which the sampler expects the greatest improvement.
        reduction_factor: One in this many trials continues at each comparison.
        brackets: Groups of trials that are compared among themselves, each starting one comparison later; None: as
            many as there are comparisons.
    """

    type: Literal["stopping", "promotion"] = "promotion"
    reduction_factor: Annotated[float, Gt(1)] = 3
    brackets: Count | None

    @property
    def pauses(self) -> bool:
        """As `SchedulerSpec.pauses`."""
        return self.type == "promotion"


class AshaSpec(HalvingSpec):
    """Asynchronous successive halving (Li et al. 2018, https://arxiv.org/abs/1810.05934)."""

    name: Literal["asha"] = "asha"
    brackets: Count = 1


class HyperbandSpec(HalvingSpec):
    """Asynchronous Hyperband: several brackets of asha, for when it is unknown how early trials can be compared.

    By default there are as many brackets as comparisons, so that trials of the last bracket are not stopped early.
    """

    name: Literal["hyperband"] = "hyperband"
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
    """Every trial runs to its end. Options of asha, which earlier versions wrote beside its name, have no effect."""

    earlier: ClassVar = dict.fromkeys(("type", "max_t", "grace_period", "reduction_factor", "brackets"))

    name: Literal["none"] = "none"


SCHEDULERS: dict[str, type[SchedulerSpec]] = {
    "asha": AshaSpec,
    "hyperband": HyperbandSpec,
    "median": MedianSpec,
    "none": NoSchedulerSpec,
}

AnyScheduler = Annotated[SerializeAsAny[SchedulerSpec], by_name(SCHEDULERS, "asha")]
