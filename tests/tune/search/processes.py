"""Real searches in processes of their own: started, watched, killed and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[3]
SMALL = (
    "search.concurrent=1",
    "data.train_limit=600",
    "training.epochs=6",
    "search.scheduler={name: asha, type: stopping, max_t: 6}",
    "search.trials=12",
)
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
        return self.journal.read_bytes().count(b"epoch:") if self.journal.is_file() else 0

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
