"""Connecting to Ray: a private one on this machine, or a cluster by its address; and what its nodes can hold."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tune.spec.errors import Problem, SpecError
from tune.spec.search import ResourcesSpec
from tune.training import MALLOC_ENVIRONMENT

AUTO_GPU = 0.5  # two trials a GPU, as published for the classifier

# Ray reads these when it is imported.
_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's tables; the old reporter honours verbose=0
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # CSV, JSON and TensorBoard files of which the record is the better copy
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are ours
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # our results carry a report, not metrics
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # Tune's snapshots are not used
    "TUNE_WARN_THRESHOLD_S": "30",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


@dataclass(frozen=True)
class TrialResources:
    """What each trial reserves, and how many such trials the nodes hold at once."""

    cpu: float
    gpu: float
    slots: int

    def at_once(self, wanted: int | None) -> int:
        """How many trials run at once: as many as wanted, as far as they fit."""
        return min(wanted or self.slots, self.slots)


@contextmanager
def connected(address: str | None = None, **options: Any) -> Iterator[None]:
    """A connection to Ray, or a Ray of our own that ends with us. One that is there already is used and left."""
    os.environ.update({key: value for key, value in _ENVIRONMENT.items() if key not in os.environ})
    import ray

    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # tracebacks of lost workers: we say a line for each
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    local = {} if address else {"include_dashboard": False, "object_store_memory": 100 * 2**20}
    with _own_signals():
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": MALLOC_ENVIRONMENT},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **{**local, **options},
        )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray puts a handler of its own on SIGTERM, which ends the process with 15: put ours back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)


def trial_resources(spec: ResourcesSpec) -> TrialResources:
    """What a trial reserves, `auto` resolved, on the Ray we are connected to.

    Raises:
        SpecError: no node has as much; names the largest.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    have = [(float(node.get("CPU", 0)), float(node.get("GPU", 0))) for node in nodes]
    most_cpu, most_gpu = (max((node[kind] for node in have), default=0.0) for kind in (0, 1))
    gpu = (AUTO_GPU if most_gpu else 0.0) if spec.gpu == "auto" else float(spec.gpu)
    per_node = [min(int(cpus / spec.cpu), int(gpus / gpu) if gpu else sys.maxsize) for cpus, gpus in have]
    if sum(per_node) == 0:
        raise SpecError(
            Problem(f"search.resources.{name}", f"{wanted:g} is more than any node has free for it; legal: <= {most:g}")
            for name, wanted, most in (("cpu", spec.cpu, most_cpu), ("gpu", gpu, most_gpu))
            if wanted > most or (spec.cpu <= most_cpu and gpu <= most_gpu)
        )
    return TrialResources(spec.cpu, gpu, sum(per_node))
