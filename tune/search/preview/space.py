"""What a search would take, before it is started: epochs, models, memory, disk and time. Nothing is written."""

from __future__ import annotations

import math
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import data
import models
from data.files import cores
from search_spaces import Config
from tune.search.preview.expected import Expected, expected
from tune.search.samplers.grid import Grid, grid_of, shuffled
from tune.spec.checks.experiment import check_tree
from tune.spec.checks.images import looker
from tune.spec.checks.search import cost_of_model, unmet
from tune.spec.dotted import with_values
from tune.spec.errors import Problem
from tune.spec.experiment import Experiment
from tune.spec.search import SearchSpec
from tune.training import InfeasibleError
from tune.training.speed import seconds_per_epoch

SAMPLES = 1000
SAMPLING = 20.0  # seconds after which no more configurations are looked at
MEASURING = 15.0  # seconds after which no more models are measured
STATES = 4  # copies of the parameters in memory and in a checkpoint: weights, best weights or gradients, two of Adam's
WINNER_SEEDS = 3  # runs that `retrain` makes of the best trial
REASONS = 3  # why configurations are infeasible: the most frequent


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the greatest of some values."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Seconds:
    """Measured here: `epoch` of models from small to large on average, `search` as expected, `retrain` the best."""

    epoch: float
    search: float
    retrain: float


@dataclass(frozen=True)
class Preview:
    """What a search would take.

    Attributes:
        trials: How many there will be; fewer than asked for where the space has no more.
        workers: Trials at the same time on this machine.
        longest: Epochs of the longest trial.
        expected: Epochs and rungs.
        samples: How many configurations were looked at.
        exhaustive: Whether these are all that the search may try.
        infeasible: Share of them that cannot be trained or violates a constraint.
        reasons: Why, the most frequent first: share of all, and an example.
        parameters: Of the models that can be trained.
        mult_adds: Per image.
        memory: Bytes in training: weights, gradients, Adam's state, and outputs of layers for a batch.
        disk: Most bytes of checkpoints at the same time.
        seconds: None where nothing could be measured.
    """

    trials: int
    workers: int
    longest: int
    expected: Expected
    samples: int
    exhaustive: bool
    infeasible: float
    reasons: tuple[tuple[float, str], ...]
    parameters: Spread | None
    mult_adds: Spread | None
    memory: Spread | None
    disk: float
    seconds: Seconds | None


@dataclass(frozen=True)
class _Sample:
    config: Config
    experiment: Experiment
    cost: models.Cost

    @property
    def memory(self) -> float:
        cost, batch = self.cost, self.experiment.training.batch_size
        return STATES * cost.params_bytes + batch * (cost.forward_backward_bytes + cost.input_bytes)


def preview(spec: SearchSpec, root: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> Preview:
    """Look at a sample of the space, and measure some of its models on this machine.

    Args:
        spec: The search.
        root: The data directory.
        progress: Called with how many of how many configurations have been looked at.
    """
    look = looker(root)
    good: list[_Sample] = []
    bad: list[str] = []
    grid = grid_of(spec.space, spec.search.sampler)
    there = math.inf if grid is None else grid.size
    began = time.monotonic()
    for config in _configs(spec, grid):
        found = _look_at(spec, config, look)
        if isinstance(found, _Sample):
            good.append(found)
        else:
            bad.append(found)
        progress(len(good) + len(bad), int(min(there, SAMPLES)))
        if time.monotonic() - began > SAMPLING:
            break
    exhaustive = len(good) + len(bad) == there
    trials = int(min(spec.search.trials, len(good) if exhaustive else there))
    workers = min(_workers(spec), max(trials, 1))
    lengths = [min(sample.experiment.training.epochs, spec.longest) for sample in good]
    will = expected(spec, trials, workers, lengths)
    return Preview(
        trials,
        workers,
        spec.longest,
        will,
        len(good) + len(bad),
        exhaustive,
        len(bad) / max(len(good) + len(bad), 1),
        tuple(_reasons(bad, len(good) + len(bad))),
        _spread([sample.cost.parameters for sample in good]),
        _spread([sample.cost.mult_adds for sample in good]),
        _spread([sample.memory for sample in good]),
        _disk(spec, max((sample.cost.params_bytes for sample in good), default=0), trials, workers),
        _seconds(spec, good, look(spec.sample.data), will, workers),
    )


# -- the sample


def _configs(spec: SearchSpec, grid: Grid | None) -> Iterator[Config]:
    """Configurations to look at, at random: all of them where there are few."""
    if grid is not None:
        return (grid[shuffled(index, grid.size, 0)] for index in range(min(grid.size, SAMPLES)))
    source = random.Random(0)
    return (spec.space.canonical(spec.space.draw(source)) for _ in range(SAMPLES))


def _look_at(spec: SearchSpec, config: Config, look: Any) -> _Sample | str:
    """A configuration that can be a trial, or why it cannot."""
    experiment, problems = check_tree(with_values(spec.base, config), look)
    if experiment is None or problems:
        return _text(problems)
    info = look(experiment.data)
    found = cost_of_model(experiment.model, info.input_shape, len(info.classes))
    return next(unmet(spec.constraints, found), None) or _Sample(config, experiment, found)


def _text(problems: Sequence[Problem]) -> str:
    return f"{problems[0].field}: {problems[0].message}" if problems else "it cannot be trained"


def _reasons(bad: Sequence[str], samples: int) -> Iterator[tuple[float, str]]:
    """The most frequent reasons; those that differ only in numbers are one."""
    kinds = Counter(re.sub(r"\d[\d.,e+-]*", "#", text) for text in bad)
    for kind, count in kinds.most_common(REASONS):
        yield count / samples, next(text for text in bad if re.sub(r"\d[\d.,e+-]*", "#", text) == kind)


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread(min(values), statistics.median(values), max(values)) if values else None


# -- what it takes


def _workers(spec: SearchSpec) -> int:
    """Trials at the same time on this machine, as far as is known without Ray."""
    resources, gpus = spec.search.resources, torch.cuda.device_count()
    slots = max(int(cores() / resources.cpu), 1)
    share = (0.5 if gpus else 0.0) if resources.gpu == "auto" else float(resources.gpu)
    if share:
        slots = max(min(slots, int(gpus / share)), 1)
    return min(spec.search.concurrent or slots, slots)


def _disk(spec: SearchSpec, params_bytes: float, trials: int, workers: int) -> float:
    """Checkpoints at the same time, all as large as the largest: live ones are written beside their last ones."""
    settings = spec.search
    paused = min(settings.retention.paused, trials) if settings.scheduler.pauses else 0
    kept = trials if settings.objective.several else min(settings.retention.best, trials)  # the front is kept whole
    first_seeds = workers if settings.seeds > 1 else 0  # each has the last checkpoint of its first seed beside them
    return params_bytes * (STATES * (2 * workers + first_seeds + paused) + kept)


def _seconds(
    spec: SearchSpec, good: Sequence[_Sample], info: data.DatasetInfo, will: Expected, workers: int
) -> Seconds | None:
    """Train a few batches of models from small to large."""
    if not good or info.train_size is None:
        return None
    device = torch.device("cuda" if torch.cuda.is_available() and spec.search.resources.gpu != 0 else "cpu")
    ranked = sorted(good, key=lambda sample: sample.cost.mult_adds)
    chosen = {round(share * (len(ranked) - 1)): None for share in (0.5, 0.1, 0.9)}
    measured: list[float] = []
    began = time.monotonic()
    for index in chosen:
        if measured and time.monotonic() - began > MEASURING:
            break
        experiment = _timed(ranked[index].experiment, spec)
        with suppress(InfeasibleError, models.ModelError, RuntimeError):  # out of memory, here; no reason to refuse
            measured.append(seconds_per_epoch(experiment, info.input_shape, len(info.classes), info.train_size, device))
    if not measured:
        return None
    epoch = statistics.fmean(measured)
    seeds = spec.search.keep_for_retraining or WINNER_SEEDS
    return Seconds(epoch, epoch * will.epochs / workers, epoch * spec.longest * seeds)


def _timed(experiment: Experiment, spec: SearchSpec) -> Experiment:
    """The experiment on as many threads as a trial has."""
    training = experiment.training
    threads = training.threads_or(max(1, int(spec.search.resources.cpu)))
    return experiment.model_copy(update={"training": training.model_copy(update={"threads": threads})})
