"""Real searches in processes of their own: started, killed, resumed, watched and compared with an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from tune.training import load_weights

ROOT = Path(__file__).parents[3]
SMALL = ("search.concurrent=1", "training.epochs=6", "search.scheduler.max_t=6", "search.trials=12")
BEST = 3  # search.retention.best of the space `digits`
TUNE = ("tune",)


class Started:
    """A search that runs, in a session of its own; on leaving the block nothing of the session is left."""

    def __init__(
        self,
        folder: Path,
        module: tuple[str, ...],
        arguments: tuple[str, ...],
        log: Path | None = None,
        document: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """`log` takes what it says, on both streams if there is no `document` for stdout."""
        self.folder = folder
        self.journal = folder / "study.journal"
        self._log = log or folder.parent / f"{folder.name}.log"
        self._from = self._log.stat().st_size if self._log.is_file() else 0
        ours = {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "COLUMNS": "200",
        }
        environment = {**os.environ, **ours, **(variables or {})}
        environment.pop("RAY_ADDRESS", None)
        with self._log.open("ab") as said, (document or self._log).open("ab") as stdout:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module, *arguments],
                stdout=stdout,
                stderr=said,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=folder.parent,
                env=environment,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.sweep()

    @property
    def said(self) -> str:
        """What it has printed, on either stream."""
        return self._log.read_bytes()[self._from :].decode(errors="replace")

    def wait(self, seconds: float = 120) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(seconds)

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> bool:
        """Wait until something holds; False if the search ended before."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, f"nothing happened for {seconds} s; said:\n{self.said}"
            time.sleep(0.005)
        return True

    def until_recorded(self, lines: int) -> bool:
        """Wait until the journal has grown by so many lines; False if the search ended before."""
        before = self._lines()
        return self.until(lambda: self._lines() >= before + lines)

    def until_trained(self) -> bool:
        """Wait until it has recorded another epoch; False if the search ended before."""
        before = self._epochs()
        return self.until(lambda: self._epochs() > before)

    def _epochs(self) -> int:
        return self.journal.read_bytes().count(b'"epoch:') if self.journal.is_file() else 0

    def _lines(self) -> int:
        return self.journal.read_bytes().count(b"\n") if self.journal.is_file() else 0

    def kill(self, number: signal.Signals, *, group: bool = True) -> None:
        """Send a signal to the driver's process group, or to the driver alone."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def members(self, title: str = "") -> list[int]:
        """Processes of the session that live, by id; only those whose command line contains `title`."""
        return [pid for pid, command in _session(self.process.pid) if title in command]

    @property
    def workers(self) -> list[int]:
        """The processes that train."""
        return [*self.members("ray::ResourceTrainable"), *self.members("ray::TrialWorker")]

    def sweep(self) -> None:
        """Kill what is left of the session."""
        for _ in range(100):
            members = self.members()
            for pid in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if self.process.poll() is not None and not members:
                return
            time.sleep(0.05)


def _session(session: int) -> Iterator[tuple[int, str]]:
    """Living processes of a session: id and command line."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if fields[0] not in "ZX" and int(fields[3]) == session:
            yield int(entry.name), command


def start(
    out: Path, name: str, *overrides: str, space: str | Path = "digits", module: tuple[str, ...] = TUNE, **options: Any
) -> Started:
    """Begin the search of this name below `out`, or go on with it if it was begun."""
    folder = out / name
    if not out.is_dir():
        out.mkdir(parents=True)
    begun = (folder / "search.yaml").is_file() or (folder / "study.journal").is_file()
    settings = overrides or (SMALL if space == "digits" else ())
    resume = ("--resume",) if begun else ()
    return Started(
        folder,
        module,
        ("search", str(space), "--name", name, *settings, "--out", str(out), "--json", *resume),
        **options,
    )


def finish(out: Path, name: str, *overrides: str, space: str | Path = "digits", seconds: float = 240) -> Started:
    """Run a search, or the rest of it, to its end."""
    with start(out, name, *overrides, space=space) as search:
        code = search.wait(seconds)
        assert code == 0, f"exit code {code}; said:\n{search.said}"
    return search


# -- what was recorded


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
    assert not left.epochs.duplicated(["trial", "epoch"]).any()
    assert len(left.epochs) == left.trials["epochs"].sum()
    assert left.others == []
    written = Counter(recorded(folder / "study.journal"))
    assert set(written.values()) <= {1}, [entry for entry, count in written.items() if count > 1]
    assert len(written) == len(left.epochs)


def recorded(journal: Path) -> list[tuple[int, str]]:
    """The epochs a journal records, as (trial, key), as often as it does."""
    lines = [json.loads(line) for line in journal.read_bytes().splitlines() if line.endswith(b"}")]
    return [
        (line["trial_id"], key)
        for line in lines
        for key in line.get("user_attr", {})
        if "trial_id" in line and key.startswith("epoch:")
    ]


# -- the disk's bound


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
def counted(folder: Path, live: int = 1) -> Iterator[Census]:
    """Count checkpoints while the block runs; they must never be more than the bound."""
    census = Census(folder)
    census.bound = BEST + 2 * live
    census.start()
    try:
        yield census
    finally:
        census.end()
    assert census.counts > 100
    assert not census.over, f"more than {census.bound} checkpoints: {census.over[0]}, {len(census.over)} times"
