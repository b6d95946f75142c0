"""What real searches show: `results/front.csv` and `results/grace.csv`.

    python -m tests.benchmarks.real_searches front --data-dir DIR [--out FOLDER]
    python -m tests.benchmarks.real_searches grace --data-dir DIR [--out FOLDER] [--only SPACE ...]

`front` searches `mnist_front` by accuracy and size, and trains the published networks v1, v2 and v3 on the same images
for the same number of epochs. All are compared on the same validation images, each at its best epoch. About 30 minutes
on one core.

`grace` trains random configurations of shipped spaces to their end, on few images, and computes how well their ranking
after each epoch predicts that at the end (as `imagetune report`). The learning curves of `curve_tables` are added.

The same command continues what was interrupted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from tests.benchmarks.rows import RESULTS, circumstances, write_rows
from tune import load_run, load_search
from tune.report.advice import predictive_from
from tune.report.analysis import budget_correlation
from tune.spec import load_search as load_space
from tune.spec.metric import METRICS, Objective

PUBLISHED = ("mnist_v1", "mnist_v2", "mnist_v3")
IMAGES = "data.train_limit=20000"
SETTINGS = ("search.concurrent=1", "search.trials=10")
ALIKE = ("search.sampler.name=random", "search.scheduler.name=none", "search.concurrent=1")
SPACES: dict[str, tuple[str, ...]] = {
    "digits": ("search.trials=30",),
    "mnist_simple": ("data.train_limit=2000", "search.trials=20"),
    "mnist_small": ("data.train_limit=2000", "search.trials=20"),
    "mnist_front": ("data.train_limit=2000", "search.trials=20", "search.metric=val_accuracy"),
    "testbed": ("data.train_limit=1500", "search.trials=20"),
    "vae": ("data.train_limit=1500", "search.trials=16"),
}
EPOCHS = (1, 2, 3, 4, 6, 9, 12)


def tune(*words: str | Path) -> None:
    """Run a command of imagetune; what it says goes to stderr."""
    subprocess.run([sys.executable, "-m", "tune", *map(str, words)], check=True, stdout=sys.stderr)


def searched(space: str, out: Path, root: Path, *overrides: str) -> Path:
    """The folder of a search, run to its end."""
    resume = ["--resume"] if (out / space / "search.yaml").exists() else []
    tune("search", space, *overrides, *resume, "--out", out, "--data-dir", root)
    return out / space


# -- the front against published networks


def front(out: Path, root: Path) -> int:
    """Write the rows; 1 if a published network is better than all that was found."""
    for name in PUBLISHED:
        resume = ["--resume"] if (out / name).exists() else []
        tune("train", name, IMAGES, *resume, "--out", out, "--data-dir", root)
    found = load_search(searched("mnist_front", out, root, IMAGES, *SETTINGS)).front
    found = found.assign(network=[f"trial {number}" for number in found["trial"]])
    rows = compared(found, pd.DataFrame(_published(name, out / name) for name in PUBLISHED))
    for row in rows:
        print(*row.values(), sep="\t")
    write_rows("front", [{**row, **circumstances()} for row in rows])
    return int(any(row["no larger and no worse"] == "none" for row in rows))


def _published(name: str, folder: Path) -> dict[str, Any]:
    run = load_run(folder)
    return {
        "network": name,
        "parameters": run.info.parameters,
        "val_accuracy": run.epochs["val_accuracy"].max(),
        "epochs": len(run.epochs),
        "seconds": run.epochs["seconds"].sum(),
    }


def compared(found: pd.DataFrame, published: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per network, by size. Of a published one also the smallest trial that is no larger and no worse."""
    rows = []
    for row in pd.concat([found, published]).sort_values(["parameters", "val_accuracy"]).to_dict("records"):
        better = found[(found["parameters"] <= row["parameters"]) & (found["val_accuracy"] >= row["val_accuracy"])]
        names = better.sort_values("parameters")["network"].tolist() or ["none"]
        columns = ("network", "parameters", "val_accuracy", "epochs", "seconds")
        other = names[0] if row["network"] in PUBLISHED else ""
        rows.append({**{name: row[name] for name in columns}, "no larger and no worse": other})
    return rows


# -- from which epoch on trials can be judged


def grace(out: Path, root: Path, only: Iterable[str]) -> int:
    """Write a row for each space and each table of learning curves."""
    for path in sorted(RESULTS.glob("curves_*.parquet")):
        epochs = pd.read_parquet(path).rename(columns={"config": "trial"})
        correlation = budget_correlation(epochs, Objective(METRICS["val_loss"]))
        _write(f"tables/{path.stem.removeprefix('curves_')}", "", correlation, None)
    for space in only:
        search = load_search(searched(space, out, root, *ALIKE, *SPACES[space]))
        shipped = load_space(space, (), root, with_data=False).search.scheduler.grace
        limit = next((text for text in SPACES[space] if text.startswith("data.")), "")
        _write(space, limit, search.budget_correlation(), shipped)
    return 0


def _write(space: str, images: str, correlation: pd.DataFrame, shipped: int | None) -> None:
    values = correlation.set_index("epoch")["correlation"]
    row = {
        "space": space,
        "images": images,
        "trials": int(correlation["trials"].iloc[0]),
        "epochs": int(values.index[-1]),
        **{f"epoch {epoch}": round(values.get(epoch, 1.0), 2) for epoch in EPOCHS},
        "predictive from": predictive_from(correlation),
        "grace period": shipped,
    }
    print(*row.values(), sep="\t", flush=True)
    write_rows("grace", [{**row, **circumstances()}], key="space")


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["front", "grace"])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    parser.add_argument("--only", nargs="*", choices=list(SPACES), default=list(SPACES))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.what == "front":
        return front(chosen.out, chosen.data_dir)
    return grace(chosen.out, chosen.data_dir, chosen.only)


if __name__ == "__main__":
    sys.exit(main())
