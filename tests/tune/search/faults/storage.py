"""Storage that goes away for a while under a running search, and comes back: a folder, and a bucket."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from tests.tune.record.s3_server import serving
from tests.tune.search.faults.injections import INJECT
from tests.tune.search.faults.outcome import SAME, Left, Row, assert_same, left_by
from tests.tune.search.faults.searches import begin, ended, tiny
from tests.tune.search.processes import Started

AWAY = 60.0  # seconds: much longer than one request to a bucket that does not answer, with its repetition
FIRST = 25  # records after which it goes away, in the second trial
AGAIN = "files can be written again; continuing"


def folder_away(out: Path, quiet: Path) -> Row:
    """The search's folder is gone for a while, as where a network file system was unmounted."""
    with begin(out) as search:
        assert search.until_recorded(FIRST)
        (out / "s").rename(out / "away")
        assert search.until(lambda: f"{out / 's'} is gone: paused" in search.said), search.said
        time.sleep(AWAY)
        assert not (out / "s").exists()  # nothing was begun in its place
        (out / "away").rename(out / "s")
        said, seconds = ended(search)
    assert said.count(AGAIN) == 1, said
    assert_same(out / "s", quiet)
    return _row("storage away: the search's folder", f"renamed for {AWAY:.0f} s and back", seconds)


def bucket_away(out: Path, quiet: Path) -> Row:
    """The server of the bucket does not answer for a while: the next checkpoint's upload hangs."""
    out.mkdir(parents=True, exist_ok=True)
    cache, study = out / "cache", f"sqlite:///{out}/studies.db"
    with serving() as server:
        url = server.new_bucket()
        variables = {**server.variables, "XDG_CACHE_HOME": str(cache)}
        words = ("search", str(tiny(out)), "--name", "s", "--out", url, "--study", study)
        with Started(out / "s", (INJECT, "worker:lingering"), words, variables=variables) as search:
            folder = cache / "imagetune" / "s3" / url.removeprefix("s3://") / "s"
            assert search.until(lambda: len(list(folder.glob("trial_*"))) >= 2), search.said
            with server.hanging():
                assert search.until(lambda: f"{url} cannot be reached: it does not answer: paused" in search.said), (
                    search.said
                )
                time.sleep(AWAY)
            said, seconds = ended(search)
    assert AGAIN in said, said
    _assert_same_tables(left_by(folder), left_by(quiet))
    return _row("storage away: a bucket", f"SIGSTOP to moto's S3 server, SIGCONT {AWAY:.0f} s later", seconds)


def _assert_same_tables(ours: Left, theirs: Left) -> None:
    for one, other in ((ours.trials, theirs.trials), (ours.epochs, theirs.epochs)):
        pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))
    assert ours.weights == theirs.weights
    assert ours.others == []


def _row(fault: str, injected: str, seconds: float) -> Row:
    return Row(fault, injected, "paused with a message, went on by itself once it was there", 0, SAME, seconds)


STORAGE = {fault.__name__: fault for fault in (folder_away, *((bucket_away,) if find_spec("moto") else ()))}
