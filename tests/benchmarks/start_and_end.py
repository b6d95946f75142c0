"""What a search takes beside its training: a search of two one-epoch trials, against what Ray and torch need at least.

    python -m tests.benchmarks.start_and_end [--runs 5]

The floor is a program that imports torch and Ray Tune, starts Ray and two actors that import torch, and ends. Both run
in turn, and `results/start_and_end.csv` has the medians of whole runs, from the shell, and their ratio. `imagetune
status` and `imagetune results` on that search stand beside them, and the driver's share of a longer search: of the time
from the start of its second trial to the end of its last, what was not training.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.rows import circumstances, write_rows
from tune.record.folder import locate_search
from tune.record.opening import read_search

FLOOR = """
import torch
import ray
from ray import tune

@ray.remote(num_cpus=1)
class Actor:
    def ready(self):
        import torch

ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2)
actors = [Actor.remote() for _ in range(2)]
ray.get([actor.ready.remote() for actor in actors])
ray.shutdown()
"""
EVERY = ("search.scheduler.name=none", "search.sampler.name=random")
TINY = (*EVERY, "search.trials=2", "search.concurrent=2", "training.epochs=1")
LONGER = (*EVERY, "search.trials=5", "search.concurrent=1", "training.epochs=10", "training.batch_size=16")


def timed(*command: str | Path) -> tuple[float, str]:
    """Seconds from the start of a Python program to its end, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True, text=True)
    return time.perf_counter() - began, done.stdout


def beside_training(name: str, out: str) -> tuple[float, float]:
    """Seconds of an epoch of a search, and the share of its time that was not training, from its second trial on."""
    trials = read_search(locate_search(name, Path(out))).trials[1:]
    started, ended = trials[0].started, trials[-1].ended_at
    assert started is not None
    assert ended is not None
    epochs = [epoch.seconds for trial in trials for epoch in trial.epochs]
    return statistics.fmean(epochs), 1 - sum(epochs) / (ended - started).total_seconds()


def main() -> None:
    """Write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    seconds: dict[str, list[float]] = {name: [] for name in ("floor", "search", "status", "results")}
    with tempfile.TemporaryDirectory() as folder:
        out = ("--out", folder)
        for run in range(runs + 1):  # the first fills the page cache
            name = f"s{run}"
            found = {
                "floor": timed("-c", FLOOR)[0],
                "search": timed("-m", "tune", "search", "digits", "--name", name, *TINY, *out)[0],
                "status": timed("-m", "tune", "status", name, *out)[0],
                "results": timed("-m", "tune", "results", name, *out)[0],
            }
            print({key: round(value, 2) for key, value in found.items()}, flush=True)
            for key, value in found.items():
                seconds[key] += [value] if run else []
        longer = timed("-m", "tune", "search", "digits", "--name", "longer", *LONGER, *out)[0]
        epoch, share = beside_training("longer", folder)
    floor = statistics.median(seconds["floor"])
    rows: list[dict[str, Any]] = [
        {
            "program": name,
            "seconds": round(statistics.median(values), 2),
            "lowest": round(min(values), 2),
            "highest": round(max(values), 2),
            "share of the floor": round(statistics.median(values) / floor, 2),
            "n": runs,
            **circumstances(),
        }
        for name, values in seconds.items()
    ]
    program = f"search of 5 trials, 10 epochs of {epoch:.1f} s each"
    rows.append(
        {"program": program, "seconds": round(longer, 2), "beside training": round(share, 3), "n": 1, **circumstances()}
    )
    print(write_rows("start_and_end", rows))


if __name__ == "__main__":
    main()
