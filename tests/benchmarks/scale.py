"""Many trials that do nothing: trials per second over the run and at its end, against Ray Tune's OptunaSearch and ASHA.

    python -m tests.benchmarks.scale --trials 2000 --epochs 5

Both search the same two floats with TPE and ASHA that stops trials, two trials at once, in processes that are used
again; a trial reports a tabulated loss and nothing else. Ours runs the whole way: record, checks, duplicates,
retention, tables.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.rows import circumstances, write_rows

SPACE = """
experiment:
  data: {{name: digits}}
  model: {{name: mnist_mlr}}
  training: {{epochs: {epochs}}}
space:
  training.optimizer.lr: {{float: [1e-5, 1e-1], log: true}}
  training.optimizer.weight_decay: {{float: [1e-6, 1e-2], log: true}}
search:
  metric: val_loss
  trials: {trials}
  concurrent: 2
  sampler: {{name: tpe}}
  scheduler: {{name: asha, type: stopping, max_t: {epochs}, grace_period: 1, reduction_factor: 3}}
  resources: {{cpu: 1, gpu: 0}}
"""


def loss(config: dict[str, float], epoch: int) -> float:
    """A tabulated loss: a bowl in the logarithms, falling with the epochs."""
    first, second = (math.log10(value) for value in config.values())
    return 0.1 * ((first + 2.5) ** 2 + (second + 4) ** 2) + 1 / epoch


def ours(trials: int, epochs: int) -> list[float]:
    """Times at which trials ended, in seconds since the first began."""
    from tests.benchmarks.scale_worker import NothingWorker
    from tune.record.status import Status
    from tune.search.display import Lines
    from tune.search.request import Request
    from tune.search.runner import run_search

    class Clock(Lines):
        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        def ended(self, trial: int | None, status: Status, reason: str) -> None:
            if status.ended:
                self.times.append(time.monotonic())

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "scale.yaml"
        space.write_text(SPACE.format(trials=trials, epochs=epochs))
        outcome = run_search(Request(str(space), Path(folder), Path(folder) / "data"), clock, NothingWorker)
        assert outcome.state == "finished", outcome
        print(f"journal_mb {outcome.folder.journal.stat().st_size / 1e6:.2f}")
    return clock.times


def ray_own(trials: int, epochs: int) -> list[float]:
    """The same with Ray Tune's own searcher, scheduler and storage, as its documentation shows them."""
    from tune.search.ray.cluster import connected

    times: list[float] = []
    with connected(), tempfile.TemporaryDirectory() as folder:
        from ray import tune as ray_tune
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        from tests.benchmarks.cluster_worker import RayNothing

        class Clock(ray_tune.Callback):
            def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
                times.append(time.monotonic())

        names = {"lr": ray_tune.loguniform(1e-5, 1e-1), "weight_decay": ray_tune.loguniform(1e-6, 1e-2)}
        ray_tune.Tuner(
            ray_tune.with_resources(RayNothing, {"cpu": 1}),
            param_space=names,
            tune_config=ray_tune.TuneConfig(
                metric="val_loss",
                mode="min",
                search_alg=OptunaSearch(),
                scheduler=ASHAScheduler(max_t=epochs, grace_period=1, reduction_factor=3),
                num_samples=trials,
                max_concurrent_trials=2,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=ray_tune.RunConfig(
                storage_path=folder,
                verbose=0,
                callbacks=[Clock()],
                checkpoint_config=ray_tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    return times


def summary(name: str, times: list[float], epochs: int) -> dict[str, Any]:
    """Rates over the whole run, its first and its last tenth."""
    tenth = max(len(times) // 10, 2)
    whole = (len(times) - 1) / (times[-1] - times[0])
    first = (tenth - 1) / (times[tenth - 1] - times[0])
    last = (tenth - 1) / (times[-1] - times[-tenth])
    return {
        "search": name,
        "trials": len(times),
        "epochs": epochs,
        "trials_per_second": round(whole, 2),
        "first_tenth": round(first, 2),
        "last_tenth": round(last, 2),
        "driver_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
    }


def main() -> None:
    """Measure each side in a process of its own, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--side", choices=["imagetune", "ray"], help="measure one side here, and only print it")
    chosen = parser.parse_args()
    if chosen.side:
        run = ours if chosen.side == "imagetune" else ray_own
        print(json.dumps(summary(chosen.side, run(chosen.trials, chosen.epochs), chosen.epochs)))
        return
    rows = []
    for side in ("imagetune", "ray"):
        command = [sys.executable, "-m", "tests.benchmarks.scale", "--side", side]
        command += ["--trials", str(chosen.trials), "--epochs", str(chosen.epochs)]
        lines = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ}
        ).stdout.splitlines()
        row: dict[str, Any] = json.loads(lines[-1])
        journal = next((line.split()[1] for line in lines if line.startswith("journal_mb")), "")
        rows.append({**row, "journal_mb": journal, **circumstances()})
        print(rows[-1], flush=True)
    print(write_rows("scale", rows))


if __name__ == "__main__":
    main()
