"""Rows of the results page's table of whole searches, from what the commands themselves wrote.

imagetune search SPACE ...; imagetune retrain SEARCH --seeds 3; imagetune evaluate RUN (each winner)
python -m tests.benchmarks.main_job SEARCH_FOLDER --command "imagetune search SPACE ..."
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import pandas as pd

from tests.benchmarks.rows import circumstances, write_rows
from tune.record import RunFolder, SearchFolder
from tune.record.search_status import search_status
from tune.record.search_yaml import read_spec
from tune.reproduce.cells import made_with
from tune.runs.info import read_run


def row_of(path: Path, command: str) -> dict[str, Any]:
    """One search: its trials, its seconds of training, its winner on the test images over seeds."""
    folder = SearchFolder(path)
    shown, spec = search_status(folder), read_spec(folder)
    trials = pd.read_parquet(folder.trials_table)
    files = sorted(folder.winners.glob("*/evaluation.json"))
    evaluations = [json.loads(file.read_text()) for file in files]
    infos = [read_run(RunFolder(file.parent))[1] for file in files]
    retrained = [pd.read_parquet(file.with_name("epochs.parquet")) for file in files]
    accuracies = [evaluation["accuracy"] for evaluation in evaluations]
    best = shown.best or {}
    return {
        "search": folder.name,
        "data": spec.sample.data.name,
        "command": command,
        "trials": len(trials),
        "completed": shown.counts["completed"],
        "stopped": shown.counts["stopped"],
        "epochs": int(trials["epochs"].sum()),
        "training_seconds": round(float(trials["seconds"].sum()), 1),
        "best_trial": best.get("trial"),
        "best_val_accuracy": best.get("val_accuracy"),
        "parameters": best.get("parameters"),
        "config": " ".join(
            f"{key.removeprefix('config.')}={value}" for key, value in best.items() if _searched(key, value)
        ),
        "test_n": evaluations[0]["n"] if evaluations else None,
        "test_accuracy_mean": statistics.mean(accuracies) if accuracies else None,
        "test_accuracy_std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "test_macro_f1_mean": statistics.mean(e["macro_f1"] for e in evaluations) if evaluations else None,
        "seeds": len(accuracies),
        "retrain_epochs": "; ".join(str(len(epochs)) for epochs in retrained),
        "retrain_seconds": round(sum(float(epochs["seconds"].sum()) for epochs in retrained), 1),
        "precision": spec.sample.training.precision,
        **(made_with(infos) if infos else circumstances()),
    }


def _searched(key: str, value: Any) -> bool:
    return key.startswith("config.") and value is not None and value == value


def main() -> None:
    """Write the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search", type=Path)
    parser.add_argument("--command", required=True)
    chosen = parser.parse_args()
    row = row_of(chosen.search, chosen.command)
    print(json.dumps(row, indent=2))
    print(write_rows("main_job", [row], key="search"))


if __name__ == "__main__":
    main()
