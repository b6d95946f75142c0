"""What it takes to look at a large search: its ranked table, its report, and `load_search`.

    python -m tests.benchmarks.large_record --trials 2000 --epochs 20

The record is written by `tune.record`, as a search writes it, with made-up losses. No trial is stopped early, so there
are as many epochs as there can be. Each command is a process of its own, with its imports; the peak of its memory is
what the kernel says when it ends.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search_spaces import Config
from tests.benchmarks.rows import circumstances, write_rows
from tune.record import Record, SearchFolder, Status
from tune.record.search_yaml import write_spec
from tune.spec import load_search
from tune.spec.metric import EpochMetrics

SPACE = """
experiment:
  data: {{name: digits}}
  model: {{name: simple_cnn}}
  training: {{epochs: {epochs}}}
space:
  model.hidden_dim: {{int: [8, 512], log: true}}
  training.optimizer.name: {{choice: [adam, sgd]}}
  training.optimizer.lr: {{float: [1e-5, 1e-1], log: true}}
  training.optimizer.momentum: {{float: [0.8, 0.99], when: {{training.optimizer.name: sgd}}}}
  training.optimizer.weight_decay: {{float: [1e-6, 1e-2], log: true}}
search:
  metric: val_loss
  trials: {trials}
  scheduler: {{name: asha, max_t: {epochs}, grace_period: 2, reduction_factor: 3}}
"""
LOAD = "from tune import load_search; s = load_search(r'{search}'); s.trials, s.epochs"
COMMANDS = {
    "imagetune status": ["-m", "tune", "status", "{search}"],
    "imagetune results": ["-m", "tune", "results", "{search}"],
    "imagetune report": ["-m", "tune", "report", "{search}"],
    "load_search": ["-c", LOAD],
    "load_search, importances": ["-c", f"{LOAD}, s.importances()"],
}


def write_search(path: Path, trials: int, epochs: int) -> SearchFolder:
    """A finished search of so many trials with so many epochs each."""
    folder, space = SearchFolder(path), path.with_suffix(".yaml")
    space.write_text(SPACE.format(trials=trials, epochs=epochs), encoding="utf-8")
    spec = load_search(str(space))
    folder.path.mkdir()
    write_spec(folder, spec, {})
    record = Record.create(folder.journal, folder.name, spec.search.objective)
    chance = random.Random(0)
    for _ in range(trials):
        config = spec.space.canonical(spec.space.draw(chance))
        number = record.add(spec.space, config, {"parameters": 100 * config["model.hidden_dim"], "mult_adds": 10**6})
        record.start(number)
        for metrics in curve(config, epochs, chance):
            record.epoch(number, metrics)
        record.end(number, Status.COMPLETED, "all epochs")
    record.close()
    return folder


def curve(config: Config, epochs: int, chance: random.Random) -> Iterator[EpochMetrics]:
    """Noisy metrics that improve with the epochs towards a level that the learning rate decides."""
    level = 0.05 + 0.1 * (math.log10(config["training.optimizer.lr"]) + 3) ** 2
    for epoch in range(1, epochs + 1):
        losses = [level + math.exp(-epoch / 5) + abs(chance.gauss(0, 0.02)) for _ in range(2)]
        values = {
            f"{part}_{kind}": value
            for part, loss in zip(("train", "val"), losses, strict=True)
            for kind, value in (("loss", loss), ("accuracy", math.exp(-loss)))
        }
        yield EpochMetrics(epoch, values, config["training.optimizer.lr"], 1.0)


def measure(command: list[str]) -> tuple[float, float, float]:
    """Seconds that a command of Python takes, those in which it computed, and the peak of its memory in MB.

    Raises:
        RuntimeError: it failed.
    """
    start = time.monotonic()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, [sys.executable, *command], os.environ, file_actions=silent)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"{command} failed")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    """Write the record, measure each command several times, print and write the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_search(Path(scratch) / "large", chosen.trials, chosen.epochs)
        for name, command in COMMANDS.items():
            words = [word.format(search=folder.path) for word in command]
            found = sorted(measure(words) for _ in range(chosen.repeats))
            seconds, computed, peak = found[len(found) // 2]
            row: dict[str, Any] = {"command": name, "trials": chosen.trials, "epochs": chosen.epochs, "n": len(found)}
            row |= {"seconds": round(seconds, 2), "cpu_seconds": round(computed, 2), "peak_mb": round(peak)}
            row["journal_mb"] = round(folder.journal.stat().st_size / 1e6, 1)
            page = folder.path / "report.html"
            row["page_mb"] = round(page.stat().st_size / 1e6, 1) if name == "imagetune report" else ""
            rows.append({**row, **circumstances()})
            print(rows[-1], flush=True)
    print(write_rows("large_record", rows))


if __name__ == "__main__":
    main()
