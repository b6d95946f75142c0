"""How far a search scales over a cluster: `results/cluster.csv`, from which render.py makes cluster.md.

    python -m tests.benchmarks.cluster driver --concurrent 10 100 200 1000
    python -m tests.benchmarks.cluster nodes --concurrent 10 100 200
    python -m tests.benchmarks.cluster extrapolate

`driver` measures the driver and its record alone, in one process: the trials take turns and report tabulated losses.
`nodes` runs trials that do nothing as processes on simulated nodes of 20 logical CPUs each, ours and Ray Tune's own
(OptunaSearch and ASHA); the rates are those once every process has started, when nothing but the search limits them.
`extrapolate` computes the rows that were not measured from those that were, linearly in the logarithms.
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
from typing import Any, cast

from tests.benchmarks.rows import circumstances, read_rows, write_rows
from tests.benchmarks.scale import SPACE, loss

PER_NODE = 20
EPOCHS = 5
FIGURES = (
    "results_per_second",
    "trials_per_second",
    "driver_ms_per_result",
    "proposal_ms",
    "driver_peak_mb",
    "journal_mb",
)


def driver_alone(concurrent: int) -> dict[str, Any]:
    """The driver, the record, the sampler and ASHA with so many trials at once, and more after them."""
    from tests.tune.search.simulation import Simulation, spec_of
    from tune.record.observer import Observer
    from tune.search.worker.messages import Report
    from tune.spec.metric import EpochMetrics

    def curve(trial: int, config: Any, epoch: int) -> Report:
        values = {"val_loss": loss(config, epoch)}
        return Report((EpochMetrics(epoch, values, 0.1, 0.0),), "epochs" if epoch == EPOCHS else None)

    trials = concurrent + min(2 * concurrent, 500)
    text = SPACE.format(epochs=EPOCHS, trials=trials)
    with tempfile.TemporaryDirectory() as folder:
        spec = spec_of(Path(folder), text, f"search.concurrent={concurrent}")
        search = Simulation(spec, Path(folder) / "s", curve, observer=Observer())
        proposing, propose = [0.0], search.ledger.propose

        def timed() -> Any:
            began = time.process_time()
            found = propose()
            proposing.append(time.process_time() - began)
            return found

        search.ledger.propose = timed  # type: ignore[method-assign]
        began, wall = time.process_time(), time.monotonic()
        search.run(workers=concurrent)
        seconds, wall = time.process_time() - began, time.monotonic() - wall
        size = search.folder.journal.stat().st_size
    last = proposing[-max(len(proposing) // 10, 1) :]
    results = search.ledger.epochs_spent
    return {
        "trials": trials,
        "results": results,
        "results_per_second": round(results / wall, 1),
        "trials_per_second": round(trials / wall, 1),
        "driver_ms_per_result": round(1000 * (seconds - sum(proposing)) / results, 3),
        "proposal_ms": round(1000 * sum(last) / len(last), 2),
        "driver_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
        "journal_mb": round(size / 1e6, 3),
    }


def on_nodes(side: str, concurrent: int) -> dict[str, Any]:
    """Processes that do nothing on simulated nodes; figures from when all of them have trained."""
    from ray.cluster_utils import Cluster

    from tune.search.ray.patch import without_dashboard

    store = 80 * 2**20
    with without_dashboard():
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": store})
        for node in range(math.ceil(concurrent / PER_NODE)):
            cluster.add_node(
                num_cpus=min(PER_NODE, concurrent - node * PER_NODE), object_store_memory=store, node_name=f"n{node}"
            )
    cluster.wait_for_nodes()
    try:
        return (_ours if side == "imagetune" else _rays)(cluster, concurrent)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


class Meter:
    """Times of results and ends of trials, the driver's CPU time beside them, and the object stores' use."""

    def __init__(self, concurrent: int) -> None:
        self.concurrent, self.used = concurrent, 0.0
        self.results: list[tuple[float, float]] = []
        self.ends: list[float] = []
        self._seen: set[Any] = set()
        self._from = 0

    def result(self, trial: Any) -> None:
        """A trial has reported."""
        self.results.append((time.monotonic(), time.process_time()))
        if len(self._seen) < self.concurrent:
            self._seen.add(trial)
            self._from = len(self.results)

    def end(self) -> None:
        """A trial has ended."""
        self.ends.append(time.monotonic())

    def look(self) -> None:
        """The most that any node's object store has had in use."""
        import ray
        from ray._private.state import available_resources_per_node

        free = {node: have.get("object_store_memory", 0.0) for node, have in available_resources_per_node().items()}  # type: ignore[no-untyped-call]
        for row in ray.nodes():  # type: ignore[no-untyped-call]
            total = row["Resources"].get("object_store_memory", 0.0)
            self.used = max(self.used, total - free.get(row["NodeID"], total))

    def figures(self) -> dict[str, Any]:
        """From when as many trials have reported as there are processes."""
        steady = self.results[self._from :]
        (began, cpu), (ended, cpu_then) = steady[0], steady[-1]
        seconds = ended - began
        return {
            "trials": len(self.ends),
            "results": len(self.results),
            "results_per_second": round(len(steady) / seconds, 1),
            "trials_per_second": round(sum(end >= began for end in self.ends) / seconds, 1),
            "driver_ms_per_result": round(1000 * (cpu_then - cpu) / len(steady), 3),
            "driver_cpu": round((cpu_then - cpu) / seconds, 2),
            "driver_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
            "object_store_mb_per_node": round(self.used / 1e6, 3),
        }


def _ours(cluster: Any, concurrent: int) -> dict[str, Any]:
    from tests.benchmarks.cluster_worker import Nothing
    from tune.record.observer import Observer
    from tune.record.status import Status
    from tune.search.ray.trial_worker import TrialWorker
    from tune.search.request import Request
    from tune.search.runner import run_search

    meter = Meter(concurrent)

    class Clock(Observer):
        def epoch(self, trial: int | None, metrics: Any) -> None:
            meter.result(trial)

        def ended(self, trial: int | None, status: Any, reason: str) -> None:
            assert status != Status.WAITING, reason  # a worker has failed
            meter.end()
            if len(meter.ends) % (2 * concurrent) == 0:
                meter.look()

    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "scale.yaml"
        space.write_text(SPACE.format(epochs=EPOCHS, trials=_trials(concurrent)))
        overrides = (f"search.concurrent={concurrent}", "search.resources.gpu=0")
        request = Request(str(space), Path(folder), Path(folder) / "data", overrides, address=cluster.address)
        outcome = run_search(request, Clock(), cast("type[TrialWorker]", Nothing))
        assert outcome.state == "finished", outcome
        return {**meter.figures(), "journal_mb": round(outcome.folder.journal.stat().st_size / 1e6, 3)}


def _rays(cluster: Any, concurrent: int) -> dict[str, Any]:
    from tune.search.ray.cluster import connected

    meter = Meter(concurrent)
    with connected(cluster.address), tempfile.TemporaryDirectory() as folder:
        from ray import tune as ray_tune
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        from tests.benchmarks.cluster_worker import RayNothing

        class Clock(ray_tune.Callback):
            def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
                meter.result(trial.trial_id)

            def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
                meter.end()
                if len(meter.ends) % (2 * concurrent) == 0:
                    meter.look()

        ray_tune.Tuner(
            ray_tune.with_resources(RayNothing, {"cpu": 1}),
            param_space={"lr": ray_tune.loguniform(1e-5, 1e-1), "weight_decay": ray_tune.loguniform(1e-6, 1e-2)},
            tune_config=ray_tune.TuneConfig(
                metric="val_loss",
                mode="min",
                search_alg=OptunaSearch(),
                scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
                num_samples=_trials(concurrent),
                max_concurrent_trials=concurrent,
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
    return meter.figures()


def _trials(concurrent: int) -> int:
    return max(150, 4 * concurrent)


def extrapolated(rows: list[dict[str, str]], concurrent: int) -> dict[str, Any]:
    """A row from the two largest that were measured: each figure is a power of the number of trials at once."""
    measured = sorted((row for row in rows if row["how"] == "measured"), key=lambda row: int(row["concurrent"]))[-2:]
    sizes = [math.log(int(row["concurrent"])) for row in measured]
    found: dict[str, Any] = {"trials": "", "results": ""}
    for name in FIGURES:
        if all(row.get(name) for row in measured):
            one, other = (math.log(float(row[name])) for row in measured)
            slope = (other - one) / (sizes[1] - sizes[0])
            found[name] = float(f"{math.exp(other + slope * (math.log(concurrent) - sizes[1])):.3g}")
    return found


def main() -> None:
    """Measure each row in a process of its own, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["driver", "nodes", "extrapolate"])
    parser.add_argument("--concurrent", type=int, nargs="+", default=[10, 100, 200])
    parser.add_argument("--side", choices=["imagetune", "ray"], help="measure here, and only print it")
    chosen = parser.parse_args()
    if chosen.side:
        (count,) = chosen.concurrent
        print(json.dumps(driver_alone(count) if chosen.what == "driver" else on_nodes(chosen.side, count)))
        return
    if chosen.what == "extrapolate":
        rows = [row for row in read_rows("cluster") if row["search"] == "imagetune, driver alone"]
        for count in chosen.concurrent:
            _write("imagetune, driver alone", count, "extrapolated", extrapolated(rows, count))
        return
    for count in chosen.concurrent:
        for side in ("imagetune", "ray") if chosen.what == "nodes" else ("imagetune",):
            command = [sys.executable, "-m", "tests.benchmarks.cluster", chosen.what, "--side", side]
            command += ["--concurrent", str(count)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            name = f"{side}, driver alone" if chosen.what == "driver" else side
            _write(name, count, "measured", json.loads(done.stdout.splitlines()[-1]))


def _write(search: str, concurrent: int, how: str, figures: dict[str, Any]) -> None:
    load = round(os.getloadavg()[0], 1) if how == "measured" else ""
    key = {"row": f"{search} {concurrent}", "search": search, "concurrent": concurrent, "how": how}
    print(key | figures, flush=True)
    write_rows("cluster", [{**key, **figures, "load": load, **circumstances()}], key="row")


if __name__ == "__main__":
    main()
