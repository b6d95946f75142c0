"""The section `search`: how to search. Knows no models, so that reading how a search is doing imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import (
    BeforeValidator,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from search_spaces import Space
from tune.spec.base import FROM_LIST, MOST, MOST_CPUS, Budget, Count, CountOrZero, Frozen, Replicates, Seed
from tune.spec.errors import one_of, shown
from tune.spec.metric import FACTS, METRICS, Goal, Objective
from tune.spec.options.samplers import AnySampler, GpSpec
from tune.spec.options.schedulers import AnyScheduler, AshaSpec

MIN_SHARE = 1e-4  # of a CPU or GPU: the finest that Ray counts


def _check_gpu(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "auto" or (number and (value == 0 or MIN_SHARE <= value <= 1)):
        return value
    if number and 1 < value <= MOST_CPUS and value == int(value):
        return value
    raise ValueError(
        f"must be auto, 0, from {MIN_SHARE} to 1, or a whole number up to {MOST_CPUS} (got {shown(value)})"
    )


class ResourcesSpec(Frozen):
    """What each trial reserves.

    Attributes:
        cpu: CPU cores.
        gpu: GPUs, or a share of one; auto is half a GPU if there is one, otherwise 0.
        accelerator_type: The type of the GPU, as Ray calls it, such as H100.
        custom: Amounts of other resources that the cluster's nodes were started with, by name.
    """

    cpu: Annotated[float, Ge(MIN_SHARE), Le(MOST_CPUS)] = 1
    gpu: Annotated[float | Literal["auto"], BeforeValidator(_check_gpu)] = "auto"
    accelerator_type: str | None = None
    custom: Mapping[str, Annotated[float, Ge(MIN_SHARE), Le(MOST)]] = {}


class RetentionSpec(Frozen):
    """Which checkpoints are kept on disk.

    Attributes:
        best: The number of best trials to keep, each with the weights of its best epoch.
        paused: The number of paused trials to keep; any other that is promoted trains its epochs again.
    """

    best: Count = 5
    paused: Count = 20


class FailureSpec(Frozen):
    """What happens when trials fail.

    Attributes:
        retries: How often a failed trial is retried.
        consecutive: End the search when the first trials all fail, this many of them, or when ten times as many
            configurations in a row are infeasible.
    """

    retries: CountOrZero = 1
    consecutive: Count = 5


class StopSpec(Frozen):
    """Rules that end a search early; the first one that is met ends it. See also `time_budget`.

    Attributes:
        target: Values of metrics; end the search after an epoch that reaches all of them.
        plateau: End it when this many trials in a row have not been better than the best one before them.
        epochs: End it when its trials have trained this many epochs in total.
    """

    target: Mapping[str, float] | None = None
    plateau: Count | None = None
    epochs: Count | None = None

    @field_validator("target")
    @classmethod
    def _known(cls, target: Mapping[str, float] | None) -> Mapping[str, float] | None:
        if target is not None and not target:
            raise ValueError("must name at least one metric, such as {val_accuracy: 0.99} (got {})")
        for name in target or {}:
            if name not in METRICS:
                raise ValueError(one_of(name, METRICS))
        return target


class ObjectiveSpec(Frozen):
    """One of several objectives.

    Attributes:
        metric: A metric that is measured in every epoch, or a quantity known before training: parameters or mult_adds.
        mode: min or max; follows from the metric.
    """

    metric: str
    mode: Goal | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS and metric not in FACTS:
            raise ValueError(one_of(metric, [*METRICS, *FACTS]))
        return metric

    @field_validator("mode")
    @classmethod
    def _seeks_the_best(cls, mode: Goal | None, info: ValidationInfo) -> Goal | None:
        return _its_own(mode, info)


def _its_own(mode: Goal | None, info: ValidationInfo) -> Goal | None:
    """Refuse a mode that is not that of the metric."""
    metric = {**METRICS, **FACTS}.get(info.data.get("metric", ""))
    if mode is not None and metric is not None and mode != metric.goal:
        raise ValueError(f"must be {metric.goal} for {metric.name} (got {mode}); remove it: it follows from the metric")
    return mode


def of_earlier_versions(tree: Any) -> Any:
    """The section `search` of a recorded search as it was meant: asha stopped trials when it had no `type`."""
    scheduler = tree.get("scheduler") if isinstance(tree, Mapping) else None
    if not isinstance(scheduler, Mapping) or scheduler.get("name") != "asha" or "type" in scheduler:
        return tree
    return {**tree, "scheduler": {**scheduler, "type": "stopping"}}


class SearchSettings(Frozen):
    """How to search.

    Attributes:
        metric: The metric to minimize or maximize.
        mode: min or max; follows from the metric.
        objectives: Several objectives instead of metric: the search looks for the best trade-offs.
        trials: The number of trials.
        concurrent: Trials that run at the same time; by default as many as the resources allow.
        seed: The sampler's seed; by default the experiment's.
        seeds: How many seeds the best trials are trained with: the experiment's seed, seed + 1, ... After each seed, a
            trial is trained with the next one if it is among the best third of the trials that have run to completion
            (with asha and hyperband: 1 / reduction_factor). Trials are ranked by the mean over their seeds.
        scheduler: Which trials are stopped early.
        sampler: What proposes configurations; by default gp, or tpe where there are several objectives.
        resources: What each trial reserves.
        retention: Which checkpoints are kept.
        failures: What happens when trials fail.
        epoch_timeout: Seconds after which an epoch counts as hung.
        time_budget: Seconds after which the search ends cleanly.
        keep_for_retraining: End earlier, so that enough of the time budget is left to retrain the best trial, to its
            last epoch, on this many seeds.
        stop: Rules that end the search early.
        loggers: Tools that trials are logged to as they run: tensorboard, mlflow.
        data: How the nodes of a Ray cluster get the images. shared: they see the same folder, on shared storage. node:
            each downloads or prepares its own, in that folder. object_store: each gets them from Ray's object store,
            once, if they fit. A node without the images runs no trials. On a single machine there is no difference.
    """

    metric: str = "val_loss"
    mode: Goal | None = None
    objectives: Annotated[tuple[ObjectiveSpec, ...], FROM_LIST] = ()
    trials: Budget = 50
    concurrent: Count | None = None
    seed: Seed | None = None
    seeds: Replicates = 1
    scheduler: AnyScheduler = AshaSpec()
    sampler: AnySampler = GpSpec()
    resources: ResourcesSpec = ResourcesSpec()
    retention: RetentionSpec = RetentionSpec()
    failures: FailureSpec = FailureSpec()
    epoch_timeout: Annotated[float, Gt(0)] | None = None
    time_budget: Annotated[float, Gt(0)] | None = None
    keep_for_retraining: CountOrZero = 0
    stop: StopSpec = StopSpec()
    loggers: Annotated[tuple[Literal["tensorboard", "mlflow"], ...], FROM_LIST] = ()
    data: Literal["shared", "node", "object_store"] = "shared"

    @property
    def objective(self) -> Objective:
        """What trials are judged by."""
        if self.objectives:
            return Objective.of([{**METRICS, **FACTS}[one.metric] for one in self.objectives])
        return Objective(METRICS[self.metric])

    def longest(self, space: Space, base: Mapping[str, Any]) -> int:
        """The number of epochs of the longest possible trial of a space, with this experiment for the other fields."""
        domain = space.domains.get("training.epochs")
        epochs = int(max(domain.ends) if domain else base["training"]["epochs"])
        return min(epochs, self.scheduler.longest or epochs)

    @model_validator(mode="before")
    @classmethod
    def _sampler_of_several(cls, tree: Any) -> Any:
        """With several objectives the default is tpe, since gp learns from one."""
        objectives = tree.get("objectives") if isinstance(tree, Mapping) else None
        if not isinstance(objectives, list | tuple) or len(objectives) < 2:
            return tree
        sampler = tree.get("sampler", {})
        unnamed = isinstance(sampler, Mapping) and "name" not in sampler
        return {**tree, "sampler": {"name": "tpe", **sampler}} if unnamed else tree

    @field_validator("objectives")
    @classmethod
    def _not_twice(cls, objectives: tuple[ObjectiveSpec, ...], info: ValidationInfo) -> tuple[ObjectiveSpec, ...]:
        names = [one.metric for one in objectives]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"must name each objective once (got {', '.join(twice)} twice)")
        if names and not any(name in METRICS for name in names):
            raise ValueError(
                f"must include a metric that is measured in every epoch, such as val_accuracy (got {', '.join(names)})"
            )
        return objectives

    @model_validator(mode="after")
    def _metric_or_objectives(self) -> SearchSettings:
        given = [name for name in ("metric", "mode") if name in self.model_fields_set]
        if self.objectives and given:
            raise ValueError(f"{' and '.join(given)} cannot be set together with objectives; remove one of them")
        return self

    @model_serializer(mode="wrap")
    def _either(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the metric where there are objectives, so that it can be loaded again."""
        tree: dict[str, Any] = plain(self)
        unused = ("metric", "mode") if self.objectives else ("objectives",)
        return {name: value for name, value in tree.items() if name not in unused}

    @field_validator("stop", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(one_of(metric, METRICS))
        return metric

    @field_validator("mode")
    @classmethod
    def _seeks_the_best(cls, mode: Goal | None, info: ValidationInfo) -> Goal | None:
        return _its_own(mode, info)
