"""How many epochs a search spends until it reaches a target: samplers and schedulers compared.

    python -m tests.benchmarks.search_quality --tasks 1,3,5 --seeds 30 --methods stock,optuna,random,tpe,gp --csv FILE

Tasks are surrogates by their numbers, tables by their names, or `live-` and such a name: the same search, but each
proposal is trained while it runs (`problems.py`). Every epoch counts one, on however many workers; a target that is not
reached within 1,500 epochs counts as 1,500. All methods use the same rungs: 1, 3, 9, ... epochs. The methods:

- stock: Ray Tune's ASHAScheduler, and Optuna's TPE told what Ray Tune's OptunaSearch tells it.
- optuna: Optuna by itself, TPE and its SuccessiveHalvingPruner.
- screening: 50 random configurations for 3 epochs each, the best 3 of them to the end; again until a target is reached.
- random, tpe, gp: imagetune's driver, record and ASHA of type `promotion` with these samplers; with `_stopping` behind
  the name, of type `stopping`.

FILE gets a row per search; FILE_summary.csv a row per method, number of workers and kind of task.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import multiprocessing
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.problems import CAP, problem
from tests.benchmarks.rows import circumstances, write_csv
from tests.benchmarks.search_methods import METHODS, EnoughError, Meter
from tune.reproduce.cells import joined

Numbers = NDArray[np.float64]
TARGETS = ("epochs_1_percent", "epochs_0.2_percent")


def measure(job: tuple[str, str, int, int]) -> dict[str, Any]:
    """One search; its row of the file."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name, method, seed, workers = job
    meter = Meter(problem(name))
    with contextlib.suppress(EnoughError):
        METHODS[method](meter, seed, workers)
    row: dict[str, Any] = {"task": name, "method": method, "workers": workers, "seed": seed}
    row |= {column: spent or CAP for column, spent in zip(TARGETS, meter.reached, strict=True)}
    row["trials"] = len(meter.suggestions)
    row["ms_per_suggestion"] = round(1000 * statistics.fmean(meter.suggestions or [0.0]), 2)
    return row


def summaries(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line per method and number of workers, for each kind of task by itself."""
    kinds: dict[str, list[dict[str, Any]]] = {"surrogates": [], "tables": [], "live": []}
    for row in rows:
        live = row["task"].startswith("live-")
        kinds["live" if live else "surrogates" if row["task"].isdigit() else "tables"].append(row)
    return [{"tasks": kind, **line} for kind, found in kinds.items() for line in summary(found)]


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line per method and number of workers: its epochs as a share of those of stock with one worker."""
    found: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row["method"], int(row["workers"])][row["task"]].append(row)
    reference, where = found.get(("stock", 1), {}), tuple(circumstances())
    lines = []
    for (method, workers), tasks in found.items():
        common = [task for task in tasks if task in reference]
        line: dict[str, Any] = {"method": method, "workers": workers, "compared": len(common)}
        line["seeds"] = min(map(len, tasks.values()))
        ordered = sorted(tasks, key=lambda task: (len(task), task))  # numbers by their size
        for target in TARGETS:
            pairs = [(_column(tasks[task], target), _column(reference[task], target)) for task in common]
            line |= {f"{target}{end}": value for end, value in _shares(pairs).items()}
            medians = (f"{task} {np.median(_column(tasks[task], target)):.0f}" for task in ordered)
            line[f"{target}_medians"] = ", ".join(medians)
        searches = [row for task in tasks.values() for row in task]
        line["ms_per_suggestion"] = round(statistics.fmean(float(row["ms_per_suggestion"]) for row in searches), 1)
        lines.append(line | {name: joined(row[name] for row in searches if name in row) for name in where})
    return lines


def _column(rows: Sequence[dict[str, Any]], name: str) -> Numbers:
    return np.array([float(row[name]) for row in rows])


def _shares(pairs: Sequence[tuple[Numbers, Numbers]]) -> dict[str, float]:
    """The geometric mean over tasks of the ratio of medians, its 95 % interval (bootstrap over seeds), and the worst.

    Args:
        pairs: For each task the epochs of a method and of stock, by seed.
    """
    if not pairs:
        return {}
    generator = np.random.default_rng(0)

    def mean(choose: Callable[[Numbers], Numbers]) -> float:
        ratios = [np.median(choose(ours)) / np.median(choose(theirs)) for ours, theirs in pairs]
        return float(np.exp(np.mean(np.log(ratios))))

    drawn = [mean(lambda numbers: generator.choice(numbers, len(numbers))) for _ in range(1000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    worst = max(np.median(ours) / np.median(theirs) for ours, theirs in pairs)
    values = {"": mean(lambda numbers: numbers), "_low": low, "_high": high, "_worst": worst}
    return {end: round(float(value), 4) for end, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", required=True, help="surrogates by number, tables by name, live-NAME; with commas")
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
            write_csv(args.csv, rows)
            print(f"\r{count} of {len(jobs)} searches", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    lines = summaries(rows)
    write_csv(args.csv.with_name(f"{args.csv.stem}_summary.csv"), lines)
    for line in lines:
        print(line)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    main()
