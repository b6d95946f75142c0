"""Files that are missing or damaged, and a second driver on the same folder."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.tune.search.faults.outcome import SAME, Row, assert_same
from tests.tune.search.faults.searches import begin, ended, finish, killed_in_its_third_epoch, last_line
from tests.tune.search.survival import journal_cut_at_every_byte

DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "half-written": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path: path.write_bytes(b"garbage" * 1000),
}


def damaged_checkpoint(out: Path, quiet: Path, how: str) -> Row:
    """The last checkpoint of a trial that is to go on is no use."""
    killed_in_its_third_epoch(out)
    (last,) = (out / "s").glob("trial_00000/last-*.pt")
    DAMAGES[how](last)
    with begin(out) as search:
        said, seconds = ended(search)
    assert "training again up to epoch 3" in said, said
    assert_same(out / "s", quiet)
    happened = "said so; its three epochs were trained again, none recorded twice"
    return Row(f"{how} checkpoint", "at resume", happened, 0, SAME, seconds)


def missing_tables(out: Path, quiet: Path) -> Row:
    """Both parquet files are gone."""
    shutil.copytree(quiet, out / "s")
    (out / "s" / "trials.parquet").unlink()
    (out / "s" / "epochs.parquet").unlink()
    with begin(out) as search:
        _, seconds = ended(search)
    assert_same(out / "s", quiet)
    return Row("missing tables", "both parquet files deleted", "made again from the record", 0, SAME, seconds)


def missing_file(out: Path, quiet: Path, name: str) -> Row:
    """A file is gone that cannot be made again."""
    shutil.copytree(quiet, out / "s")
    (out / "s" / name).unlink()
    before = sorted(path.name for path in (out / "s").iterdir())
    with begin(out) as search:
        said, seconds = ended(search, 1)
    assert f"{name} is missing" in last_line(said), said
    assert sorted(path.name for path in (out / "s").iterdir()) == before
    happened = "refused: " + last_line(said).replace(f"{out}/", "")
    return Row(f"missing {name}", "deleted before a resume", happened, 1, "nothing more", seconds)


def cut_journal(out: Path, quiet: Path) -> Row:
    """The journal cut at every byte of its last record; without Ray."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    journal_cut_at_every_byte(out)
    cuts = len(list(out.glob("cut-*")))
    assert cuts > 50
    happened = f"{cuts} of {cuts} mended and said so; each went on to the same table"
    seconds = round(time.monotonic() - began, 1)
    return Row("a cut journal", "at every byte of its last record", happened, None, "nothing", seconds)


def second_driver(out: Path, quiet: Path) -> Row:
    """Another driver comes while the first lives, and again after it was killed."""
    with begin(out) as first:
        assert first.until_recorded(15)
        os.kill(first.process.pid, signal.SIGSTOP)  # alive, and not done before the second has started
        with begin(out, log=out / "second.log") as second:
            said, seconds = ended(second, 2)
        assert "already being run by another process" in said, said
        assert first.process.poll() is None
        first.kill(signal.SIGKILL)
    finish(out)
    assert_same(out / "s", quiet)
    happened = "refused by name of the first's host and process; let in once that was killed"
    return Row("a second driver", "started while the first lives (SIGSTOP)", happened, 2, SAME, seconds)
