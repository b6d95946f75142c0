"""Learning curves of many configurations, trained once, so that samplers and schedulers can be compared in minutes.

    python -m tests.benchmarks.curve_tables digits --workers 2 --data-dir DIR

Draws configurations at random from `tables/NAME.yaml` and trains each to its end, one core each. What is done stands in
`PARTS/NAME.jsonl`, a line per configuration; the same command continues it. When all are there, they are written to
`results/curves_NAME.parquet`: a row per configuration and epoch.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

TABLES = Path(__file__).parent / "tables"
RESULTS = Path(__file__).parent / "results"
SEED = 20_26


def configurations(name: str, root: Path, overrides: tuple[str, ...]) -> list[dict[str, Any]]:
    """As many different configurations as the file's `search.trials`, all of them possible."""
    spec = _spec(name, root, overrides)
    source, check = random.Random(SEED), feasibility(name, root, overrides)
    found: dict[str, dict[str, Any]] = {}
    while len(found) < spec.search.trials:
        config = spec.space.canonical(spec.space.draw(source))
        if check(config) is not None:
            found[json.dumps(config, sort_keys=True)] = config
    return list(found.values())


@cache
def _spec(name: str, root: Path, overrides: tuple[str, ...]) -> Any:
    from tune.spec.reading.load import load_search

    return load_search(str(TABLES / f"{name}.yaml"), list(overrides), root)


@cache
def _splits(name: str, root: Path, overrides: tuple[str, ...]) -> Any:
    import torch

    from tune.training import open_splits

    torch.set_num_threads(1)
    return open_splits(_spec(name, root, overrides).sample.data, root, torch.device("cpu"))


def feasibility(name: str, root: Path, overrides: tuple[str, ...]) -> Any:
    """Whether a configuration of the file can be trained: None where not."""
    from tune.search.feasible import Feasibility

    return Feasibility(_spec(name, root, overrides), root)


def training_of(name: str, root: Path, overrides: tuple[str, ...], config: dict[str, Any]) -> Any:
    """The training of a configuration, before its first epoch."""
    import torch

    from tune.spec.metric import METRICS, Objective
    from tune.training import Training

    spec = _spec(name, root, overrides)
    return Training(
        spec.experiment({**config, "training.threads": 1}),
        _splits(name, root, overrides),
        device=torch.device("cpu"),
        objective=Objective(METRICS[spec.search.metric]),
        epochs=spec.epochs,
    )


def train(job: tuple[str, Path, tuple[str, ...], int, dict[str, Any]]) -> dict[str, Any]:
    """Train one configuration; its epochs, and how it ended."""
    name, root, overrides, index, config = job
    begin = time.perf_counter()
    training = training_of(name, root, overrides, config)
    epochs = []
    while training.end is None:
        epochs.append(training.run_epoch().to_dict())
    seconds = time.perf_counter() - begin
    return {"index": index, "config": config, "end": str(training.end), "seconds": seconds, "epochs": epochs}


def table(rows: list[dict[str, Any]]) -> Any:
    """A row per configuration and epoch; values that are not finite are NaN."""
    import pandas as pd

    flat = [
        {"config": row["index"], **row["config"], **epoch, "end": row["end"]}
        for row in sorted(rows, key=lambda row: row["index"])
        for epoch in row["epochs"]
    ]
    return pd.DataFrame(flat)


def write_images(folder: Path, root: Path) -> None:
    """The first 667 training images of each class of CIFAR-10 as PNG files."""
    from collections import Counter

    from torchvision.datasets import CIFAR10

    images = CIFAR10(root)
    seen: Counter[int] = Counter()
    for image, label in images:
        if seen[label] < 667:
            (folder / images.classes[label]).mkdir(parents=True, exist_ok=True)
            image.save(folder / images.classes[label] / f"{seen[label]:03}.png")
            seen[label] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(path.stem for path in TABLES.glob("*.yaml")))
    parser.add_argument("overrides", nargs="*", default=[], help="fields of the file, such as data.path=DIR")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--parts", type=Path, default=Path("parts"))
    args = parser.parse_args()
    from tune.spec import data_root

    root, overrides = data_root(args.data_dir), tuple(args.overrides)
    args.parts.mkdir(parents=True, exist_ok=True)
    if args.name == "cifar10" and not Path("cifar10-images").is_dir():
        write_images(Path("cifar10-images"), root)
    parts = args.parts / f"{args.name}.jsonl"
    rows = (
        [json.loads(line) for line in parts.read_text().splitlines() if line.endswith("}")] if parts.is_file() else []
    )
    done = {row["index"] for row in rows}
    wanted = configurations(args.name, root, overrides)
    jobs = [(args.name, root, overrides, index, config) for index, config in enumerate(wanted) if index not in done]
    print(f"{args.name}: {len(done)} of {len(wanted)} configurations are done", file=sys.stderr)
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool, parts.open("a") as file:
        for row in pool.imap_unordered(train, jobs):
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
            if len(rows) % 20 == 0:
                print(f"{args.name}: {len(rows)} of {len(wanted)}", file=sys.stderr, flush=True)
    ended = [row["end"] for row in rows]
    print(f"{args.name}: {ended.count('diverged')} of {len(rows)} diverged", file=sys.stderr)
    table(rows).to_parquet(RESULTS / f"curves_{args.name}.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
