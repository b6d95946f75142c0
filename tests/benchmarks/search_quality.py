"""How many epochs a search spends until it reaches a target: samplers and schedulers on known learning curves.

    python -m tests.benchmarks.search_quality --tasks 1,3,5 --seeds 30 --methods stock,optuna,random,tpe,gp --csv FILE

Tasks are surrogates by their numbers, or tables by their names (`problems.py`). Every epoch counts one, on however many
workers; a target that is not reached within 1,500 epochs counts as 1,500. All methods use the same rungs: 1, 3, 9, ...
epochs. The methods:

- stock: Ray Tune's ASHAScheduler, and Optuna's TPE told what Ray Tune's OptunaSearch tells it.
- optuna: Optuna by itself, TPE and its SuccessiveHalvingPruner.
- screening: 50 random configurations for 3 epochs each, the best 3 of them to the end; again until a target is reached.
- random, tpe, gp: imagetune's driver, record and ASHA of type `promotion` with these samplers; with `_stopping` behind
  the name, of type `stopping`.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces import Choice, Config, Float, Space, config_key
from tests.benchmarks.problems import Problem, problem
from tests.benchmarks.rows import circumstances

CAP = 1500
FACTOR = 3
TARGETS = ("epochs_1_percent", "epochs_0.2_percent")
STOPPING = "_stopping"
OURS = ("random", "tpe", "gp")


class Enough(Exception):
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
            raise Enough
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
            raise Enough
        return loss

    def train(self, config: Config, first: int, last: int) -> float:
        """Train some epochs, at most until the loss is not finite; the last loss."""
        for epoch in range(first, last + 1):
            loss = self.epoch(config, epoch)
            if not np.isfinite(loss):
                break
        return loss


# -- what users would take instead


def suggested(trial: Any, space: Space) -> Config:
    """A configuration of the space, drawn by a trial of Optuna's."""
    from tune.record.distributions import distribution, value_of

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

    from tune.record.distributions import params

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
            if not np.isfinite(loss):
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
    import random

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
    from tune.search.attempt import Report

    task, trained = meter.task, set[tuple[int, int]]()

    def curve(number: int, config: Config, epoch: int) -> Report:
        if (number, epoch) in trained:
            return Report((metrics(epoch, meter._curves[config_key(config)][epoch - 1]),), None)
        trained.add((number, epoch))
        loss = meter.epoch(config, epoch)
        end = "epochs" if epoch == task.epochs else None
        return Report((metrics(epoch, loss),), end if np.isfinite(loss) else "diverged")

    text = f"""
experiment: {{data: {{name: digits}}, model: {{name: mnist_mlr}}, training: {{epochs: {task.epochs}}}, seed: {seed}}}
space: {{training.optimizer.lr: {{float: [0.001, 0.1]}}}}
search:
  metric: val_loss
  trials: {len(task.rows) or CAP}
  scheduler: {{name: asha, type: {type}, reduction_factor: {FACTOR}}}
  sampler: {{name: {sampler}}}
"""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
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
    **{f"{name}{STOPPING}": partial(ours, sampler=name, type="stopping") for name in OURS},
}


# -- the table


def measure(job: tuple[str, str, int, int]) -> dict[str, Any]:
    """One search; its row of the file."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name, method, seed, workers = job
    meter = Meter(problem(name))
    try:
        METHODS[method](meter, seed, workers)
    except Enough:
        pass
    row: dict[str, Any] = {"task": name, "method": method, "workers": workers, "seed": seed}
    row |= {column: spent or CAP for column, spent in zip(TARGETS, meter.reached, strict=True)}
    row["trials"] = len(meter.suggestions)
    row["ms_per_suggestion"] = round(1000 * statistics.fmean(meter.suggestions or [0.0]), 2)
    return row


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per method the geometric mean over tasks of its median epochs as a share of stock's, with a 95 % interval.

    The interval is that of the bootstrap over seeds, 1,000 times; `worst` is the largest share of a task.
    """
    from collections import defaultdict

    found: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row["method"], int(row["workers"])][row["task"]].append(row)
    reference = found["stock", 1]
    generator = np.random.default_rng(0)
    result = []
    for (method, workers), tasks in found.items():
        line: dict[str, Any] = {"method": method, "workers": workers, "tasks": len(tasks)}
        line["seeds"] = min(map(len, tasks.values()))
        for target in TARGETS:
            pairs = [
                (np.array([float(r[target]) for r in tasks[t]]), np.array([float(r[target]) for r in reference[t]]))
                for t in tasks
                if t in reference
            ]
            if pairs:
                shares = [np.median(a) / np.median(b) for a, b in pairs]
                draws = [
                    np.mean([np.log(np.median(generator.choice(a, len(a))) / np.median(generator.choice(b, len(b)))) for a, b in pairs])
                    for _ in range(1000)
                ]
                low, high = np.exp(np.quantile(draws, [0.025, 0.975]))
                line |= {
                    target: round(float(np.exp(np.mean(np.log(shares)))), 4),
                    f"{target}_low": round(float(low), 4),
                    f"{target}_high": round(float(high), 4),
                    f"{target}_worst": round(float(max(shares)), 4),
                }
        line["ms_per_suggestion"] = round(statistics.fmean(float(r["ms_per_suggestion"]) for rs in tasks.values() for r in rs), 1)
        result.append(line)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", required=True, help="numbers of surrogates and names of tables, with commas")
    parser.add_argument("--methods", default="stock,optuna,screening,random,tpe,gp")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1, help="trials at once in each search")
    parser.add_argument("--jobs", type=int, default=1, help="searches at once")
    parser.add_argument("--csv", type=Path, required=True, help="rows are added to it; those that it has are not run")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = list(csv.DictReader(args.csv.open())) if args.csv.is_file() else []
    done = {(row["task"], row["method"], int(row["seed"]), int(row["workers"])) for row in rows}
    jobs = [
        (task, method, seed, args.workers)
        for seed in range(args.seeds)
        for task in args.tasks.split(",")
        for method in args.methods.split(",")
    ]
    jobs = [job for job in jobs if job not in done]
    where = circumstances()
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for count, row in enumerate(pool.imap_unordered(measure, jobs), 1):
            rows.append({**row, **where})
            _write(args.csv, rows)
            print(f"\r{count} of {len(jobs)} searches", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for line in summary(rows):
        print(line)


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    main()
