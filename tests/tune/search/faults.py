"""Faults injected for real into small searches; every one returns the row that the reliability table shows.

Each takes an empty folder and that of an undisturbed search of the same space (`TINY`, one worker). Where the fault
breaks a search off, it is mended and the search resumed, and must equal the undisturbed one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from tests.tune.search import test_survival
from tests.tune.search.kills import INJECT, SAME
from tests.tune.search.processes import Started, assert_same, start
from tests.tune.search.processes import finish as run_to_end
from tests.tune.search.rows import Row

TINY = """
experiment:
  data: {name: digits, validation_fraction: 0.15}
  model: {name: classifier, cnn_layers: 2, fcn_layers: 1, starting_channels: 8, final_channels: 24}
  training: {epochs: 4, batch_size: 64, optimizer: {name: sgd}}
space:
  training.optimizer.lr: {float: [1e-3, 1], log: true}
  training.optimizer.momentum: {float: [0.1, 0.9]}
search:
  metric: val_loss
  trials: 5
  concurrent: 1
  scheduler: {name: asha, max_t: 4, grace_period: 1, reduction_factor: 3}
  retention: {best: 3}
"""
Fault = Callable[[Path, Path], Row]


def tiny(out: Path, text: str = TINY) -> Path:
    """The space as a file."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "tiny.yaml"
    path.write_text(text)
    return path


def begin(out: Path, *overrides: str, name: str = "s", fault: str = "worker:lingering", **options: Any) -> Started:
    """A tiny search with a fault put in, by default only slow epochs; on a folder that exists, its resume."""
    text = options.pop("text", TINY)
    return start(out, name, *overrides, space=tiny(options.pop("at", out), text), module=(INJECT, fault), **options)


def finish(out: Path, name: str = "s") -> Started:
    """Resume a tiny search without any fault, to its end."""
    return run_to_end(out, name, space=out / "tiny.yaml")


def ended(search: Started, seconds: float = 120) -> tuple[int, str, float]:
    """Exit code, what was said, and the seconds that took; a user sees lines, never a traceback."""
    began = time.monotonic()
    code = search.wait(seconds)
    said = search.said
    assert "Traceback" not in said, said
    return code, said, round(time.monotonic() - began, 1)


def statuses(folder: Path) -> dict[int, str]:
    """Trial -> status."""
    table = pd.read_parquet(folder / "trials.parquet")
    return dict(zip(table["trial"], table["status"], strict=True))


# -- disks


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


def _system(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


@contextmanager
def disk(at: Path, kilobytes: int, *options: str) -> Iterator[Path]:
    """A file system of its own, as small as one likes."""
    at.mkdir(parents=True, exist_ok=True)
    _system("mount", "-t", "tmpfs", "-o", ",".join((f"size={kilobytes}k", *options)), "tmpfs", at)
    try:
        yield at
    finally:
        _system("umount", "-l", at)


def _fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"0" * size)
            except OSError:
                continue
    return path


def full_disk_then_room(out: Path, quiet: Path) -> Row:
    """The disk of the whole search fills up, and after a while there is room again."""
    with disk(out / "disk", 4096) as small, begin(small, at=out, log=out / "log") as search:
        tiny(small)
        assert search.until_recorded(25, 120)
        filler = _fill(small)
        assert search.until(lambda: "is full" in search.said, 60), search.said
        time.sleep(3)
        filler.unlink()
        code, said, seconds = ended(search)
        assert code == 0, said
        assert "there is room on the disk again" in said, said
        assert_same(small / "s", quiet)
    happened = "paused with a message, went on by itself once there was room"
    return Row("full disk, then room", "a full tmpfs under checkpoints and journal", happened, code, SAME, seconds)


def full_disk_for_good(out: Path, quiet: Path) -> Row:
    """The disk stays full for longer than the search waits (4 s here, 10 minutes as shipped)."""
    with disk(out / "disk", 4096) as small:
        with begin(small, fault="worker:lingering,patience:4", log=out / "log") as search:
            assert search.until_recorded(25, 120)
            filler = _fill(small)
            code, said, seconds = ended(search)
            assert code == 1, said
            assert "free some space and resume" in said, said
        filler.unlink()
        finish(small)
        assert_same(small / "s", quiet)
    happened = "paused with a message, ended in order after the set time; resumed once there was room"
    return Row("full disk for good", "a full tmpfs, never emptied", happened, code, SAME, seconds)


@contextmanager
def journal_on_a_disk_of_its_own(folder: Path, at: Path) -> Iterator[None]:
    """Put a search's journal on a tmpfs without a free page, in its place by a bind mount."""
    journal = folder / "study.journal"
    pages = -(-journal.stat().st_size // 4096)
    with disk(at, 4 * pages):
        shutil.copy(journal, at)
        _system("mount", "--bind", at / journal.name, journal)
        try:
            yield
        finally:
            _system("umount", "-l", journal)
            shutil.copy(at / journal.name, journal)


def full_journal(out: Path, quiet: Path) -> Row:
    """There is room for checkpoints and none for the driver's journal; then there is."""
    with begin(out, fault="epoch:3") as search:
        assert search.wait() == -signal.SIGKILL
    with journal_on_a_disk_of_its_own(out / "s", out / "disk"), begin(out) as search:
        assert search.until(lambda: "is full" in search.said, 120), search.said
        _system("mount", "-o", "remount,size=1024k", out / "disk")
        code, said, seconds = ended(search)
        assert code == 0, said
    assert_same(out / "s", quiet)
    happened = "the driver paused with a message in the middle of a write, went on once there was room"
    return Row("full disk, journal alone", "the journal on a full tmpfs", happened, code, SAME, seconds)


def full_journal_for_good(out: Path, quiet: Path) -> Row:
    """There is room for checkpoints and none for the journal, for longer than the search waits."""
    with begin(out, fault="epoch:3") as search:
        assert search.wait() == -signal.SIGKILL
    with (
        journal_on_a_disk_of_its_own(out / "s", out / "disk"),
        begin(out, fault="worker:lingering,patience:4") as search,
    ):
        code, said, seconds = ended(search)
        assert code == 1, said
        assert "the disk stayed full for 4 s; free some space and resume" in said, said
    finish(out)
    assert_same(out / "s", quiet)
    happened = "paused with a message, ended after the set time; resumed once there was room"
    return Row("full disk, journal alone, for good", "the journal on a full tmpfs", happened, code, SAME, seconds)


def read_only_from_the_start(out: Path, quiet: Path) -> Row:
    """The folder in which a search is to begin is read-only."""
    with disk(out / "disk", 1024, "ro") as small, begin(small, at=out, log=out / "log") as search:
        code, said, seconds = ended(search)
        assert code == 1, said
        assert "Read-only file system" in said, said
        assert not list(small.iterdir())
    happened = _last_line(said).replace(f"{small}/", "")
    return Row("read-only folder, at the beginning", "a tmpfs mounted read-only", happened, code, "nothing", seconds)


def read_only_at_resume(out: Path, quiet: Path) -> Row:
    """The folder of a search that is to go on is read-only."""
    with begin(out, fault="epoch:3") as search:
        assert search.wait() == -signal.SIGKILL
    _system("mount", "--bind", out / "s", out / "s")
    _system("mount", "-o", "remount,bind,ro", out / "s")
    try:
        with begin(out) as search:
            code, said, seconds = ended(search)
    finally:
        _system("umount", "-l", out / "s")
    assert code == 1, said
    assert "Read-only file system" in said, said
    happened = _last_line(said).replace(f"{out}/", "")
    finish(out)
    assert_same(out / "s", quiet)
    return Row("read-only folder, at resume", "a bind mount made read-only", happened, code, SAME, seconds)


def read_only_on_the_way(out: Path, quiet: Path) -> Row:
    """The journal takes no more writes in the middle of a search."""
    with begin(out) as search:
        assert search.until_recorded(25, 120)
        _system("chattr", "+i", search.journal)
        try:
            code, said, seconds = ended(search)
        finally:
            _system("chattr", "-i", search.journal)
    assert code == 1, said
    assert "study.journal" in said, said
    finish(out)
    assert_same(out / "s", quiet)
    happened = "ended with a line that names the journal; resumed once it could be written"
    return Row("read-only journal, on the way", "chattr +i", happened, code, SAME, seconds)


def _last_line(said: str) -> str:
    return said.strip().splitlines()[-1][:200]


# -- trials


def diverging(out: Path, quiet: Path) -> Row:
    """The first trial's learning rate is absurd."""
    text = TINY.replace("[1e-3, 1]", "[1e-3, 1e30]") + (
        "first: [{training.optimizer.lr: 1.0e+30, training.optimizer.momentum: 0.5}]\n"
    )
    with begin(out, text=text) as search:
        code, said, seconds = ended(search)
    assert code == 0, said
    found = statuses(out / "s")
    assert found[0] == "diverged"
    assert len(found) == 5
    table = pd.read_parquet(out / "s" / "trials.parquet").set_index("trial")
    assert table.loc[0, "epochs"] == 1
    happened = "the trial ended as diverged in its first epoch, the sampler was told, the search finished"
    return Row("NaN", "a learning rate of 1e30", happened, code, "nothing", seconds)


def bug_in_a_trial(out: Path, quiet: Path) -> Row:
    """One trial raises, whenever it is tried."""
    with begin(out, fault="worker:buggy") as search:
        code, said, seconds = ended(search)
    assert code == 0, said
    assert "tried again" in said, said
    assert statuses(out / "s")[1] == "failed"
    assert list(statuses(out / "s").values()).count("failed") == 1
    assert "KeyError: 'a bug of the trial'" in (out / "s" / "study.journal").read_text()
    happened = "tried again, then failed with its last lines kept; the search finished"
    return Row("an exception in a trial", "KeyError in trial 1", happened, code, "nothing", seconds)


def bug_in_every_trial(out: Path, quiet: Path) -> Row:
    """Every trial raises: that is not the trials' fault."""
    with begin(out, "search.failures.consecutive=3", fault="worker:broken") as search:
        code, said, seconds = ended(search)
    assert code == 1, said
    assert "the first 3 trials all failed; the last: KeyError: 'a bug of every trial'" in said, said
    happened = "ended with that error after the third trial"
    return Row("exceptions from the start", "KeyError in every trial", happened, code, "nothing", seconds)


def out_of_address_space(out: Path, quiet: Path) -> Row:
    """A model larger than the memory that the host grants a worker."""
    text = TINY.replace("cnn_layers: 2, ", "cnn_layers: 3, ").replace(
        "  training.optimizer.momentum: {float: [0.1, 0.9]}", "  model.final_channels: {choice: [24, 32, 12000]}"
    )
    text = text.replace(", final_channels: 24", "") + (
        "first: [{training.optimizer.lr: 0.1, model.final_channels: 12000}]\n"
    )
    with begin(out, text=text, fault="worker:starved") as search:
        code, said, seconds = ended(search)
    assert code == 0, said
    found = statuses(out / "s")
    assert found[0] == "out_of_memory", said
    assert "tried again" not in said, said
    assert "failed" not in found.values(), said  # the next trials have a new process
    assert {"completed", "stopped"} & set(found.values())
    happened = "the trial ended as out_of_memory, was not tried again, the sampler was told, the search finished"
    return Row("host out of memory, allocation refused", "RLIMIT_AS on the worker", happened, code, "nothing", seconds)


def out_of_host_memory(out: Path, quiet: Path) -> Row:
    """A trial takes so much memory that Ray kills it for the host's sake."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    memory = {name: int(kilobytes) for name, kilobytes, *_ in lines}
    threshold = 1 - (memory["MemAvailable:"] - 3 * 2**20) / memory["MemTotal:"]
    variables = {"RAY_memory_usage_threshold": f"{threshold:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    with begin(out, fault="worker:hungry", variables=variables) as search:
        code, said, seconds = ended(search, 180)
    assert code == 0, said
    found = statuses(out / "s")
    assert found[1] == "out_of_memory", said
    assert "trial 1 out_of_memory: OutOfMemoryError: 1 worker(s) were killed" in said
    assert list(found.values()).count("out_of_memory") == 1
    happened = "Ray killed the worker; out_of_memory, not tried again, the sampler was told, the search finished"
    return Row(
        "host out of memory, worker killed", "Ray's memory monitor at a limit", happened, code, "nothing", seconds
    )


def hung_trial(out: Path, quiet: Path) -> Row:
    """A trial that never ends its second epoch."""
    with begin(out, "search.epoch_timeout=8", fault="worker:sleepy") as search:
        code, said, seconds = ended(search)
    assert code == 0, said
    table = pd.read_parquet(out / "s" / "trials.parquet").set_index("trial")
    assert (table.loc[1, "status"], table.loc[1, "reason"]) == ("failed", "hung")
    happened = "ended as failed (hung) after search.epoch_timeout; the search finished"
    return Row("a hung trial", "a sleep of a day in an epoch", happened, code, "nothing", seconds)


# -- files


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "half-written": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path: path.write_bytes(b"garbage" * 1000),
}


def damaged_checkpoint(out: Path, quiet: Path, how: str) -> Row:
    """The last checkpoint of a trial that is to go on is no use."""
    with begin(out, fault="epoch:3") as search:
        assert search.wait() == -signal.SIGKILL
    (last,) = (out / "s").glob("trial_00000/last-*.pt")
    DAMAGES[how](last)
    with begin(out) as search:
        code, said, seconds = ended(search)
    assert code == 0, said
    assert "trial 0: its checkpoint was missing or damaged; it trains to epoch 3 again" in said, said
    assert_same(out / "s", quiet)
    happened = "said so; its three epochs were trained again, none recorded twice"
    return Row(f"{how} checkpoint", "at resume", happened, code, SAME, seconds)


def missing_tables(out: Path, quiet: Path) -> Row:
    """Both parquet files are gone."""
    shutil.copytree(quiet, out / "s")
    (out / "s" / "trials.parquet").unlink()
    (out / "s" / "epochs.parquet").unlink()
    with begin(out) as search:
        code, said, seconds = ended(search)
    assert code == 0, said
    assert_same(out / "s", quiet)
    return Row("missing tables", "both parquet files deleted", "made again from the record", code, SAME, seconds)


def missing_file(out: Path, quiet: Path, name: str) -> Row:
    """A file is gone that cannot be made again."""
    shutil.copytree(quiet, out / "s")
    (out / "s" / name).unlink()
    before = sorted(path.name for path in (out / "s").iterdir())
    with begin(out) as search:
        code, said, seconds = ended(search)
    assert code in (1, 2), said
    assert f"{name} is missing" in _last_line(said), said
    assert sorted(path.name for path in (out / "s").iterdir()) == before
    happened = "refused: " + _last_line(said).replace(f"{out}/", "")
    return Row(f"missing {name}", "deleted before a resume", happened, code, "nothing more", seconds)


def cut_journal(out: Path, quiet: Path) -> Row:
    """The journal cut at every byte of its last record; without Ray."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    test_survival.test_the_journal_cut_at_every_byte_of_its_last_records_is_mended(out)
    cuts = len(list(out.glob("cut-*")))
    assert cuts > 50
    happened = f"{cuts} of {cuts} mended and said so; each went on to the same table"
    seconds = round(time.monotonic() - began, 1)
    return Row("a cut journal", "at every byte of its last record", happened, None, "nothing", seconds)


def second_driver(out: Path, quiet: Path) -> Row:
    """Another driver comes while the first lives, and again after it was killed."""
    with begin(out) as first:
        assert first.until_recorded(15, 120)
        os.kill(first.process.pid, signal.SIGSTOP)  # alive, and not done before the second has started
        with begin(out, log=out / "second.log") as second:
            code, said, seconds = ended(second)
        assert code == 2, said
        assert "is driven by another search that lives" in said, said
        assert first.process.poll() is None
        first.kill(signal.SIGKILL)
    finish(out)
    assert_same(out / "s", quiet)
    happened = "refused by name of the first's host and process; let in once that was killed"
    return Row("a second driver", "started while the first lives (SIGSTOP)", happened, code, SAME, seconds)


def _damaged(how: str) -> Fault:
    return lambda out, quiet: damaged_checkpoint(out, quiet, how)


def _missing(name: str) -> Fault:
    return lambda out, quiet: missing_file(out, quiet, name)


MOUNTING: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        full_disk_then_room,
        full_disk_for_good,
        full_journal,
        full_journal_for_good,
        read_only_from_the_start,
        read_only_at_resume,
        read_only_on_the_way,
    )
}
FAULTS: dict[str, Fault] = {
    "cut_journal": cut_journal,
    **{f"{how}_checkpoint": _damaged(how) for how in DAMAGES},
    "missing_tables": missing_tables,
    **{f"missing_{name}": _missing(name) for name in ("search.yaml", "study.journal")},
    "second_driver": second_driver,
    "diverging": diverging,
    "bug_in_a_trial": bug_in_a_trial,
    "bug_in_every_trial": bug_in_every_trial,
    "out_of_address_space": out_of_address_space,
    "out_of_host_memory": out_of_host_memory,
    "hung_trial": hung_trial,
}
