"""All that can be measured on this machine in less than 25 minutes, in one table: `make benchmark`.

    python -m tests.benchmarks [--data-dir ROOT]

Epochs and whole searches against the official tutorial's, and the start and end of a search against their floor. Each
part writes its CSV file in `results/`; `python -m tests.benchmarks.render` puts them into RESULTS.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from tests.benchmarks.arithmetic import precisions_here
from tests.benchmarks.rows import circumstances, read_rows
from tune.spec import data_root

MODELS = {
    "MNIST/raw": ("mnist_mlr", "mnist_cnn", "simple_cnn", "mnist_v3"),
    "cifar-10-batches-py": ("tiny_vgg", "classifier"),
}
COLUMNS = ("precision", "ours, s", "tutorial, s", "ratio", "aim", "floor, s")


def run(module: str, *options: str | Path) -> None:
    """Run a benchmark; what it prints is shown as it goes."""
    print(f"\npython -m tests.benchmarks.{module} {' '.join(map(str, options))}", flush=True)
    subprocess.run([sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, options)], check=True)


def lines(models: tuple[str, ...], *, mnist: bool) -> Iterator[tuple[str, ...]]:
    """The table's lines, from the files that were just written."""
    shown = ("precision", "ours_seconds", "tutorial_seconds", "ratio", "aim", "floor_seconds")
    here = torch.backends.cpu.get_cpu_capability()
    for row in read_rows("epoch_speed"):
        if row["model"] in models and row["hardware"].endswith(here):
            yield f"{row['model']}, epoch", *(row[name] for name in shown)
    for row in read_rows("whole_search") if mnist else ():
        yield f"{row['model']}, search", *(row[name] for name in shown)
    rows = {row["program"]: row for row in read_rows("start_and_end")}
    yield (
        "start and end / floor",
        "",
        rows["search"]["seconds"],
        "",
        rows["search"]["share of the floor"],
        "< 1.3",
        rows["floor"]["seconds"],
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=None, help="holds MNIST/raw; default $IMAGETUNE_DATA")
    root = data_root(parser.parse_args().data_dir)
    missing = [folder for folder in MODELS if not (root / folder).is_dir()]
    models = tuple(name for folder, names in MODELS.items() if folder not in missing for name in names)
    skipped = [f"{folder} is not in {root}: left out {', '.join(MODELS[folder])}" for folder in missing]
    mnist = "MNIST/raw" not in missing
    run("start_and_end", "--runs", "3")
    if models:
        run("epoch_speed", "--data-dir", root, "--repeats", "3", "--models", *models)
    if mnist:
        run("whole_search", "--data-dir", root)
    if "bfloat16" not in precisions_here():
        skipped.append("this CPU has no fast bfloat16: left out")
    if not torch.cuda.is_available():
        skipped.append("no GPU: left out gpu_speed")
    where = circumstances()
    title = f"{where['hardware']}, torch {where['torch']}"
    table = Table(Column(no_wrap=True), *COLUMNS, title=title, box=SIMPLE_HEAD, padding=(0, 0), pad_edge=False)
    for line in lines(models, mnist=mnist):
        table.add_row(*line)
    Console().print(table)
    print("\n".join(skipped))


if __name__ == "__main__":
    main()
