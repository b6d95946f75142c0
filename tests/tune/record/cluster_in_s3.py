"""A cluster of two nodes that share nothing but S3: `python -m tests.tune.record.cluster_in_s3 CACHE`.

The head, which runs no trial, and the worker have different cache folders, as two machines would. Prints the address,
and ends with its standard input.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

MEMORY = 80 * 2**20  # bytes


def main(cache: str) -> None:
    """See above."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": MEMORY})
    cluster.add_node(num_cpus=1, object_store_memory=MEMORY, env_vars={"XDG_CACHE_HOME": cache})
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(*sys.argv[1:])
