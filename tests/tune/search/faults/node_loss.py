"""A search on a cluster of two nodes, one of which is lost: `python -m tests.tune.search.faults.node_loss OUT NAME`.

Prints what the search says, and `LOST` when the node goes, which is when two trials have recorded an epoch each.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

from tests.tune.search.faults.outcome import recorded
from tests.tune.search.faults.workers import WORKERS
from tests.tune.search.processes import SMALL
from tune.search.display import Lines
from tune.search.request import Request
from tune.search.runner import run_search


def lose(cluster: Cluster, node: Any, journal: Path) -> None:
    """Wait until two trials are under way, then take a node's processes away."""
    while not journal.is_file() or len({trial for trial, _ in recorded(journal)}) < 2:
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    print("LOST", flush=True)


def main() -> None:
    """See above."""
    out, name = Path(sys.argv[1]), sys.argv[2]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20})
    node = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    cluster.wait_for_nodes()
    losing = threading.Thread(target=lose, args=(cluster, node, out / name / "study.journal"), daemon=True)
    losing.start()
    overrides = (*SMALL[1:], "search.concurrent=2")
    request = Request("digits", out, out / "data", overrides, name=name, address=cluster.address)
    try:
        outcome = run_search(request, Lines(), WORKERS["lingering"])
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    print(f"{outcome.state} {outcome.exit_code}", flush=True)
    sys.exit(outcome.exit_code)


if __name__ == "__main__":
    main()
