"""The searches that `search_quality` compares, each on learning curves that are known."""

from __future__ import annotations

import dataclasses
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from search_spaces import Choice, Config, Float, Space, config_key
from tests.benchmarks.problems import CAP, Problem

FACTOR = 3
"""One in so many trials continues at each rung."""

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where the records lie: no decision waits for a disk."""

OURS = ("random", "tpe", "gp")


class EnoughError(Exception):
    """Every target is reached, or the cap is."""


class Meter:
    """Counts the epochs of one search, and notes when each target is reached.

    Attributes:
        reached: For each goal the number of epochs spent until then; None as long as it is not reached.
        suggestions: Seconds that each new configuration took.
    """

    def __init__(self, task: Problem) -> None:
        self.task, self.spent = task, 0
        self.reached: list[int | None] = [None] * len(task.goals)
        self.suggestions: list[float] = []
        self.taken: set[str] = set()
        self._curves: dict[str, Sequence[float]] = {}

    def place(self, proposal: Config) -> Config:
        """The configuration that is trained for a proposal."""
        config = self.task.place(proposal, self.taken)
        if config is None:
            raise EnoughError
        self.taken.add(config_key(config))
        return config

    def epoch(self, config: Config, epoch: int) -> float:
        """Train one epoch; its loss."""
        key = config_key(config)
        if key not in self._curves:
            self._curves[key] = self.task.curve(config)
        loss = self._curves[key][epoch - 1]
        self.spent += 1
        for index, goal in enumerate(self.task.goals):
            if self.reached[index] is None and loss <= goal:
                self.reached[index] = self.spent
        if self.spent >= CAP or None not in self.reached:
            raise EnoughError
        return loss

    def train(self, config: Config, first: int, last: int) -> float:
        """Train some epochs, at most until the loss is not finite; the last loss."""
        for epoch in range(first, last + 1):
            loss = self.epoch(config, epoch)
            if not math.isfinite(loss):
                break
        return loss


# -- what users would take instead


def suggested(trial: Any, space: Space) -> Config:
    """A configuration of the space, drawn by a trial of Optuna's."""
    from tune.record.as_optuna import distribution, value_of

    config: Config = {}
    for field, domain in space.domains.items():
        if space.in_play(field, config):
            shape: Any = distribution(domain)
            if isinstance(domain, Choice):
                raw = trial.suggest_categorical(field, shape.choices)
            elif isinstance(domain, Float):
                raw = trial.suggest_float(field, shape.low, shape.high, log=shape.log, step=shape.step)
            else:
                raw = trial.suggest_int(field, shape.low, shape.high, log=shape.log, step=shape.step)
            config[field] = value_of(domain, raw)
    return config


def stock(meter: Meter, seed: int, workers: int) -> None:
    """Ray Tune's ASHA and Optuna's TPE, which OptunaSearch tells of stopped trials as if they had ended there."""
    from optuna.samplers import TPESampler
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    scheduler: Any = ASHAScheduler(
        metric="loss", mode="min", max_t=meter.task.epochs, grace_period=1, reduction_factor=FACTOR
    )
    ids: dict[int, Any] = {}

    def stops(number: int, epoch: int, loss: float) -> bool:
        if number not in ids:
            ids[number] = type("Trial", (), {"trial_id": str(number)})()
            scheduler.on_trial_add(None, ids[number])
        result = {"training_iteration": epoch, "loss": loss}
        return bool(scheduler.on_trial_result(None, ids[number], result) == TrialScheduler.STOP)

    _with_optuna(meter, TPESampler(seed=seed), workers, stops)


def optuna_alone(meter: Meter, seed: int, workers: int) -> None:
    """Optuna's TPE and SuccessiveHalvingPruner with the same rungs."""
    from optuna.pruners import SuccessiveHalvingPruner
    from optuna.samplers import TPESampler

    pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
    _with_optuna(meter, TPESampler(seed=seed), workers, None, pruner)


def _with_optuna(
    meter: Meter, sampler: Any, workers: int, stops: Callable[[int, int, float], bool] | None, pruner: Any = None
) -> None:
    """Workers in turns of an epoch. A trial that `stops` ends is complete with its last value; the pruner's is pruned.

    In a table, what the sampler learns from is the configuration that was trained, not the one it proposed.
    """
    import optuna
    from optuna.trial import TrialState

    from tune.record.as_optuna import params

    study = optuna.create_study(sampler=sampler, pruner=pruner)
    running: dict[int, tuple[Any, Config, int]] = {}

    def begin(slot: int) -> None:
        start = time.perf_counter()
        trial = study.ask()
        proposal = suggested(trial, meter.task.space)
        meter.suggestions.append(time.perf_counter() - start)
        config = meter.place(proposal)
        if config is not proposal:
            study.tell(trial, state=TrialState.FAIL)
            values, distributions = params(meter.task.space, config)
            study.add_trial(optuna.create_trial(state=TrialState.RUNNING, params=values, distributions=distributions))
            trial = optuna.trial.Trial(study, study.trials[-1]._trial_id)
        running[slot] = (trial, config, 0)

    for slot in range(workers):
        begin(slot)
    while True:
        for slot, (trial, config, epoch) in list(running.items()):
            loss = meter.epoch(config, epoch + 1)
            if not math.isfinite(loss):
                study.tell(trial, state=TrialState.FAIL)
                begin(slot)
                continue
            trial.report(loss, epoch + 1)
            pruned = stops is None and trial.should_prune()
            if pruned or epoch + 1 == meter.task.epochs or (stops and stops(trial.number, epoch + 1, loss)):
                study.tell(trial, None if pruned else loss, state=TrialState.PRUNED if pruned else None)
                begin(slot)
            else:
                running[slot] = (trial, config, epoch + 1)


def screening(meter: Meter, seed: int, workers: int) -> None:
    """50 random configurations for 3 epochs, the best 3 to the end."""
    source = random.Random(seed)
    while True:
        configs = [meter.place(meter.task.space.draw(source)) for _ in range(50)]
        losses = [meter.train(config, 1, 3) for config in configs]
        for index in sorted(range(50), key=lambda index: losses[index])[:3]:
            meter.train(configs[index], 4, meter.task.epochs)


# -- ours


def ours(meter: Meter, seed: int, workers: int, *, sampler: str, type: str) -> None:
    """The driver, its record and scheduler, without Ray; workers in turns of an epoch."""
    from tests.tune.search.simulation import Simulation, metrics, spec_of
    from tune.search.worker.messages import Report

    task, trained = meter.task, set[tuple[int, int]]()

    def curve(number: int, config: Config, epoch: int) -> Report:
        if (number, epoch) in trained:
            return Report((metrics(epoch, meter._curves[config_key(config)][epoch - 1]),), None)
        trained.add((number, epoch))
        loss = meter.epoch(config, epoch)
        end = "epochs" if epoch == task.epochs else None
        return Report((metrics(epoch, loss),), end if math.isfinite(loss) else "diverged")

    text = f"""
experiment: {{data: {{name: digits}}, model: {{name: mnist_mlr}}, training: {{epochs: {task.epochs}}}, seed: {seed}}}
space: {{training.optimizer.lr: {{float: [0.001, 0.1]}}}}
search:
  metric: val_loss
  trials: {task.trials}
  scheduler: {{name: asha, type: {type}, reduction_factor: {FACTOR}}}
  sampler: {{name: {sampler}}}
"""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        spec = dataclasses.replace(spec_of(folder, text), space=task.space)
        simulation = Simulation(spec, folder / "search", curve)
        proposer: Any = simulation.ledger.proposer
        proposer._sampler = _Placed(proposer._sampler, meter)
        simulation.run(workers)


class _Placed:
    """A sampler whose proposals are moved to where they are trained."""

    def __init__(self, sampler: Any, meter: Meter) -> None:
        self._sampler, self._meter = sampler, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def proposals(self, trials: Any, number: int) -> Iterator[Config]:
        start = time.perf_counter()
        for proposal in self._sampler.proposals(trials, number):
            self._meter.suggestions.append(time.perf_counter() - start)
            yield self._meter.place(proposal)
            start = time.perf_counter()


METHODS: dict[str, Callable[[Meter, int, int], None]] = {
    "stock": stock,
    "optuna": optuna_alone,
    "screening": screening,
    **{name: partial(ours, sampler=name, type="promotion") for name in OURS},
    **{f"{name}_stopping": partial(ours, sampler=name, type="stopping") for name in OURS},
}
