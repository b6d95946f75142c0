"""Rules about the settings of a search and its constraints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import data
import models
from data.words import counted
from search_spaces import Choice, Space
from tune.spec.constraints import ConstraintsSpec
from tune.spec.errors import Problem, nearest, shown
from tune.spec.experiment import Experiment
from tune.spec.metric import METRICS, metrics_of
from tune.spec.options.samplers import GridSpec
from tune.spec.options.schedulers import HalvingSpec, JudgingSpec
from tune.spec.search_settings import SearchSettings


def check_constraints(constraints: ConstraintsSpec, experiment: Experiment, info: data.DatasetInfo) -> Iterator[str]:
    """Which constraints an experiment does not meet."""
    if constraints.bounds:
        yield from unmet(constraints, cost_of_model(experiment.model, info.input_shape, len(info.classes)))


@lru_cache(maxsize=4096)
def cost_of_model(model: Any, input_shape: tuple[int, int, int], classes: int) -> models.Cost:
    """What the model of an experiment costs. Remembered: a search draws most models more than once."""
    return models.cost_of(model.name, input_shape, classes, **model.options())


def unmet(constraints: ConstraintsSpec, cost: models.Cost) -> Iterator[str]:
    """Which constraints a model of this cost does not meet."""
    for name, bound, value in constraints.unmet(cost):
        yield f"must have {bound.text} {name.replace('_', '-')} by constraints.{name} (got {value})"


def check_search(settings: SearchSettings, space: Space, sample: Experiment) -> list[Problem]:
    """What is wrong with the settings of a search; `sample` has the values of all fields that are not searched."""
    problems = [*_metric_problems(settings, space, sample), *_target_problems(settings, space, sample)]
    validated = [metric.name for metric in settings.objective.every if metric.part == "val"]
    if validated and sample.data.validation_fraction == 0:
        message = (
            f"{validated[0]} needs validation images; set data.validation_fraction above 0, or use a train_ metric"
        )
        problems.append(Problem(_where(settings), message))
    if settings.objective.several:
        problems += _several_problems(settings)
    if settings.seeds > 1 and "seed" in space.domains:
        message = f"must be 1 where seed is searched (got {settings.seeds}); remove seed from the space"
        problems.append(Problem("search.seeds", message))
    if isinstance(settings.sampler, GridSpec):
        problems += _grid_problems(settings.sampler, space)
    if isinstance(settings.scheduler, JudgingSpec):
        domain = space.domains.get("training.epochs")
        searched = [end for end in domain.ends if isinstance(end, int)] if domain else []
        epochs = max(searched, default=sample.training.epochs)
        problems += _rung_problems(settings.scheduler, min(epochs, settings.scheduler.max_t or epochs))
    return problems


def _grid_problems(spec: GridSpec, space: Space) -> Iterator[Problem]:
    """Ranges of which it is not known how many values to try, and numbers for fields that are no ranges."""
    ranges = [name for name, domain in space.domains.items() if not isinstance(domain, Choice)]
    for field in spec.points if isinstance(spec.points, Mapping) else ():
        if field not in ranges:
            what = nearest(field, ranges, "searched ranges") if ranges else "no range is searched; remove it"
            yield Problem(f"search.sampler.points.{field}", f"is not a searched range; {what}")
    for field, domain in space.domains.items():
        if domain.size is None and spec.points_of(field, continuous=True) is None:
            message = f"is required, since {field} has no steps: how many values to try, such as 5, or {{{field}: 5}}"
            yield Problem("search.sampler.points", message)
            return


def _tasks(space: Space, sample: Experiment) -> Iterable[str]:
    """The tasks of the searched models."""
    domain = space.domains.get("model.name")
    return dict.fromkeys(models.get(name).task for name in (domain.ends if domain else [sample.model.name]))


def _target_problems(settings: SearchSettings, space: Space, sample: Experiment) -> Iterator[Problem]:
    """A target that no trial can reach."""
    for name, value in (settings.stop.target or {}).items():
        if METRICS[name].unit == "%" and not 0 <= value <= 1:
            yield Problem(f"search.stop.target.{name}", f"must be a fraction from 0 to 1, such as 0.99 (got {value:g})")
        for task in _tasks(space, sample):
            if METRICS[name] not in (metrics := metrics_of(task)):
                names = ", ".join(metric.name for metric in metrics)
                yield Problem(f"search.stop.target.{name}", f"must be a metric of {task}: one of {names}")
        if METRICS[name].part == "val" and sample.data.validation_fraction == 0:
            message = "needs validation images; set data.validation_fraction above 0, or use a train_ metric"
            yield Problem(f"search.stop.target.{name}", message)


def _metric_problems(settings: SearchSettings, space: Space, sample: Experiment) -> Iterator[Problem]:
    """A metric that one of the searched models does not have."""
    for task in _tasks(space, sample):
        metrics = metrics_of(task)
        names = ", ".join(metric.name for metric in metrics)
        for metric in settings.objective.every:
            if metric.part != "model" and metric not in metrics:
                message = f"must be a metric of {task}: one of {names} (got {shown(metric.name)})"
                yield Problem(_where(settings), message)


def _where(settings: SearchSettings) -> str:
    """The field that names the metric."""
    return "search.objectives" if settings.objectives else "search.metric"


def _several_problems(settings: SearchSettings) -> Iterator[Problem]:
    """What works with one objective only."""
    if settings.sampler.name == "gp":
        message = "learns from one objective only (got gp); use tpe, nsga2 or random with several"
        yield Problem("search.sampler.name", message)
    if settings.scheduler.name == "median":
        message = "compares trials by one objective only (got median); use asha, hyperband or none with several"
        yield Problem("search.scheduler.name", message)
    if settings.stop.plateau is not None:
        message = "needs one objective; use search.stop.epochs or search.stop.target with several"
        yield Problem("search.stop.plateau", message)


def _rung_problems(spec: JudgingSpec, epochs: int) -> Iterator[Problem]:
    """What is wrong with a scheduler's settings if the longest trial has this many epochs."""
    if spec.grace_period > epochs:
        message = f"must be at most {epochs}, the epochs of a trial (got {spec.grace_period})"
        yield Problem("search.scheduler.grace_period", message)
        return
    if not isinstance(spec, HalvingSpec):
        return
    # At grace_period x reduction_factor ** n epochs.
    rungs = int(math.log(epochs / spec.grace_period) / math.log(spec.reduction_factor)) + 1
    if rungs > epochs:
        made = f"{counted(rungs, 'rung')} in {counted(epochs, 'epoch')}"
        message = f"must be larger: it makes {made} (got {spec.reduction_factor}); try 2 to 4"
        yield Problem("search.scheduler.reduction_factor", message)
    elif spec.brackets is not None and spec.brackets > rungs:
        message = (
            f"must be at most {rungs}, the rungs of {counted(epochs, 'epoch')} with grace_period={spec.grace_period} "
            f"and reduction_factor={spec.reduction_factor:g} (got {spec.brackets})"
        )
        yield Problem("search.scheduler.brackets", message)
