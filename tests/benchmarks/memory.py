"""Memory of a data set that several trials of a node share: one copy, however many processes.

    python -m tests.benchmarks.memory --dataset cifar10 --processes 1 2 4

Each process opens the training images as a trial does and reads all of them. Counted are the proportional shares (PSS)
of the mapped images and the memory that processes got for themselves while they read, from /proc/self/smaps.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.rows import circumstances, write_rows
from tune.spec import DataSpec, data_root
from tune.training import open_splits


def share(connection: Connection, dataset: str) -> None:
    """Open and read the images, wait until all have, answer with this process's bytes."""
    before = _anonymous()
    splits = open_splits(DataSpec(name=dataset), data_root(), torch.device("cpu"))
    images = sum(int(batch.sum()) for batch, _ in splits.train.batches(1000))
    connection.send(images)
    connection.recv()
    connection.send({"mapped": _mapped("Pss"), "copied": _mapped("Anonymous"), "own": _anonymous() - before})
    connection.recv()


def _regions() -> str:
    regions = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.M)
    return "".join(region for region in regions if "images.npy" in region)


def _mapped(field: str) -> int:
    return 1024 * sum(map(int, re.findall(rf"^{field}:\s+(\d+) kB", _regions(), re.M)))


def _anonymous() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Anonymous:\s+(\d+) kB", text, re.M)))


def measure(dataset: str, processes: int) -> dict[str, Any]:
    """MB over all processes, while all of them have read every image."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(processes)]
    workers = [context.Process(target=share, args=(theirs, dataset)) for _, theirs in pairs]
    for worker in workers:
        worker.start()
    for ours, _ in pairs:
        ours.recv()
    for ours, _ in pairs:
        ours.send("measure")
    found = [ours.recv() for ours, _ in pairs]
    for ours, _ in pairs:
        ours.send("end")
    for worker in workers:
        worker.join()
    total = {name: sum(row[name] for row in found) / 1e6 for name in ("mapped", "copied", "own")}
    return {
        "dataset": dataset,
        "processes": processes,
        "images_mb_of_all_processes": round(total["mapped"], 1),
        "copied_mb_of_all_processes": round(total["copied"], 1),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    chosen = parser.parse_args()
    rows = [{**measure(chosen.dataset, count), **circumstances()} for count in chosen.processes]
    for row in rows:
        print(row)
    print(write_rows("memory", rows))


if __name__ == "__main__":
    main()
