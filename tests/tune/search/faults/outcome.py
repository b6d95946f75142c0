"""What a fault has left of a search, against one that nobody disturbed, and its row of the reliability table."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tune.training import load_weights

BEST = 3  # search.retention.best of the space `digits`
SAME = "nothing: equal to an undisturbed search, weights too"


@dataclass(frozen=True)
class Row:
    """`exit_code`: of the search under the fault, empty where no process ended by it.

    `lost`: what the record or the folder lacks in the end against an undisturbed search. `seconds`: from the fault to
    the end of the process it hit, or for kills of the whole test.
    """

    fault: str
    injected: str
    happened: str
    exit_code: int | None
    lost: str
    seconds: float


@dataclass(frozen=True)
class Left:
    """What a search has left in its folder."""

    trials: pd.DataFrame
    epochs: pd.DataFrame
    weights: dict[str, Any]
    """Trial folder -> the bytes of each tensor, and the texts beside them."""
    others: list[str]
    """Files that should not be there: checkpoints of trials that ended, half-written files."""


def left_by(folder: Path) -> Left:
    """Read what a search that ended has left."""
    weights = {path.parent.name: _content(path) for path in folder.glob("trial_*/best.safetensors")}
    others = [path for path in folder.glob("trial_*/*") if path.name != "best.safetensors"]
    others += [path for path in folder.rglob("*") if path.suffix in (".tmp", ".partial")]
    trials, epochs = (pd.read_parquet(folder / f"{name}.parquet") for name in ("trials", "epochs"))
    return Left(trials, epochs, weights, sorted(str(path.relative_to(folder)) for path in others))


def _content(path: Path) -> Any:
    """The file's own bytes vary: its texts come in any order."""
    tensors, texts = load_weights(path)
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}, texts


def assert_same(ours: Path, quiet: Path) -> None:
    """A disturbed search with one worker has left what the undisturbed one has: tables, weights, nothing else."""
    one, other = left_by(ours), left_by(quiet)
    pd.testing.assert_frame_equal(one.trials.drop(columns="seconds"), other.trials.drop(columns="seconds"))
    pd.testing.assert_frame_equal(one.epochs.drop(columns="seconds"), other.epochs.drop(columns="seconds"))
    assert one.weights.keys() == other.weights.keys()
    assert one.weights == other.weights  # to the byte: epochs trained again gave the same
    assert one.others == []
    assert_once(ours, len(other.trials))


def assert_once(folder: Path, trials: int = 12) -> None:
    """No trial lost, none doubled, no epoch recorded twice, nothing left running: in the tables and in the journal."""
    left = left_by(folder)
    assert left.trials["trial"].tolist() == list(range(len(left.trials)))
    assert len(left.trials) == trials
    assert not set(left.trials["status"]) & {"running", "waiting"}
    assert not left.trials.duplicated([name for name in left.trials.columns if name.startswith("config.")]).any()
    replicate = left.epochs.get("replicate", pd.Series(0, index=left.epochs.index))
    assert not left.epochs.assign(replicate=replicate).duplicated(["trial", "replicate", "epoch"]).any()
    assert (replicate == 0).sum() == left.trials["epochs"].sum()
    assert left.others == []
    written = Counter(recorded(folder / "study.journal"))
    assert set(written.values()) <= {1}, [entry for entry, count in written.items() if count > 1]
    assert len(written) == len(left.epochs)


def recorded(journal: Path) -> list[tuple[int, str]]:
    """The epochs of all seeds a journal records, as (trial, key), as often as it does."""
    lines = [json.loads(line) for line in journal.read_bytes().splitlines() if line.endswith(b"}")]
    return [
        (line["trial_id"], key)
        for line in lines
        for key in line.get("user_attr", {})
        if "trial_id" in line and "epoch:" in key
    ]


class Census(threading.Thread):
    """Counts the checkpoints of a search's folder every few milliseconds: whole ones and half-written ones."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.highest, self.counts = folder, 0, 0
        self.over: list[list[str]] = []
        self.bound = BEST + 2
        self._over = threading.Event()

    def run(self) -> None:
        """Count until told to stop."""
        while not self._over.wait(0.002):
            found = _checkpoints(self.folder)
            self.counts += 1
            self.highest = max(self.highest, len(found))
            if len(found) > self.bound:
                self.over.append(found)

    def end(self) -> None:
        """Stop counting."""
        self._over.set()
        self.join()


def _checkpoints(folder: Path) -> list[str]:
    found = []
    for trial in folder.glob("trial_*"):
        try:
            found += [f"{trial.name}/{entry.name}" for entry in os.scandir(trial)]
        except OSError:
            continue  # it has just gone
    return found


@contextmanager
def counted(folder: Path, files: int = 0) -> Iterator[Census]:
    """Count checkpoints while the block runs; they must never be more than the bound, which `files` adds to."""
    census = Census(folder)
    census.bound += files
    census.start()
    try:
        yield census
    finally:
        census.end()
    assert census.counts > 100
    assert not census.over, f"more than {census.bound} checkpoints: {census.over[0]}, {len(census.over)} times"
