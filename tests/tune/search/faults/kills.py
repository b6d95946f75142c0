"""Ways to kill a real search, each with its resume; every one returns the row that the reliability table shows.

All run with one worker, and must leave what a search left alone has left, in every column but seconds.
"""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.tune.search.faults.injections import INJECT
from tests.tune.search.faults.outcome import SAME, Row, assert_same, counted
from tests.tune.search.processes import SMALL, Started, finish, start
from tune.record.folder import SearchFolder
from tune.record.search_status import search_status

LINGERING = (INJECT, "worker:lingering")  # epochs of .3 s and more
POINTS = {
    "lock:25": "while the journal's lock is held",
    "half:31": "with half a record written and the lock held",
    "suggestion:12": "inside a suggestion",
    "drawn:3": "between a suggestion and its record",
    "added:2": "between a trial's record and its start",
    "unreported:5": "between a checkpoint and its report",
    "epoch:4": "between a report's record and its judgement",
    "undecided:1": "between the scheduler's decision and its record",
    "outcome:2": "in the middle of the record of an end",
    "ended:2": "between the record of an end and its clearing up",
    "dropping:1": "while checkpoints are cleared up",
    "settling:1": "while a resume puts trials back",
    "tables:1": "before the tables are written",
}
BEGINNINGS = {"begin:1": "before search.yaml is written", "begun:1": "between search.yaml and the record"}
STOPPING = (signal.SIGTERM, signal.SIGINT)


class Kind(NamedTuple):
    """Searches that differ from the plain one. `files`: checkpoints that they may have beyond it."""

    overrides: tuple[str, ...] = ()
    files: int = 0


PLAIN = Kind()
PROMOTION = ("search.scheduler.type=promotion", "search.retention.paused=4")
KINDS = {
    "promotion": Kind(PROMOTION, files=4),
    "gp": Kind((*PROMOTION, "search.sampler={name: gp, startup: 4}"), files=4),
    "seeds": Kind(("search.seeds=2",), files=1),
    "objectives": Kind(("search.objectives=[{metric: val_accuracy}, {metric: parameters}]",), files=9),  # of the front
}


def of_a_kind(out: Path, quiet: Path, kind: str, wanted: int) -> Row:
    """Kill searches of a kind again and again; they are compared with an undisturbed one of that kind."""
    finish(out, "quiet", *SMALL, *KINDS[kind].overrides)
    row = again_and_again(out, out / "quiet", range(12), wanted, KINDS[kind])
    return dataclasses.replace(row, fault=f"{row.fault}, {kind}")


def again_and_again(out: Path, quiet: Path, seeds: range, wanted: int, kind: Kind = PLAIN) -> Row:
    """Kill process groups at random moments over several searches, until there were enough kills."""
    began, kills, searches, highest, bound = time.monotonic(), 0, 0, 0, 0
    for seed in seeds:
        with counted(out / f"killed-{seed}", files=kind.files) as census:
            kills += _until_it_ends(out, f"killed-{seed}", seed, kind.overrides, wanted - kills)
        searches, highest, bound = searches + 1, max(highest, census.highest), census.bound
        assert_same(out / f"killed-{seed}", quiet)
        if kills >= wanted:
            break
    assert kills >= wanted
    happened = (
        f"{searches} of {searches} searches went on to their end; never more than {highest} checkpoints (bound {bound})"
    )
    injected = f"SIGKILL to the process group at {kills} random moments of {searches} searches"
    return Row("kill -9 again and again", injected, happened, -signal.SIGKILL, SAME, time.monotonic() - began)


def _until_it_ends(out: Path, name: str, seed: int, overrides: tuple[str, ...], most: int) -> int:
    """Kill one search while it starts, or soon after it has recorded something, until it ends; how often."""
    source, kills = random.Random(seed), 0
    while True:
        with start(out, name, *SMALL, *overrides) as search:
            if kills == most:
                search.until(lambda: False, 600)  # left alone to its end
            elif source.random() < 0.25:
                search.until(clock(source.uniform(0.5, 8)))
            else:
                search.until_trained()
                search.until(clock(source.uniform(0, 1.5)))
            if search.process.poll() is not None:
                assert search.wait() == 0, search.said
                return kills
            search.kill(signal.SIGKILL)
            kills += 1


def clock(seconds: float) -> Callable[[], bool]:
    """True from so many seconds from now on."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def two_ways(out: Path, quiet: Path) -> Row:
    """The driver by itself with half a record written, and then the whole process group."""
    began = time.monotonic()
    with counted(out / "killed") as census:
        with start(out, "killed", module=(INJECT, "half:31")) as dead:
            assert dead.wait() == -signal.SIGKILL
            with start(out, "killed") as search:  # at once: workers of the dead driver may still be alive
                assert search.until_recorded(40)
                assert_nothing_trains(dead)
                search.kill(signal.SIGKILL)
        finish(out, "killed")
    assert_same(out / "killed", quiet)
    happened = f"continued twice; never more than {census.highest} checkpoints (bound {census.bound})"
    return Row("kill -9, two kinds", "driver alone, half a record; group", happened, -9, SAME, _since(began))


def assert_nothing_trains(dead: Started) -> None:
    """After its driver's death all of a search's processes are gone but two of Ray's agents, which end in a minute."""
    assert not dead.workers
    assert set(dead.members()) == set(dead.members("Agent"))


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def driver_alone(out: Path, quiet: Path) -> Row:
    """Kill the driver and nothing else, and resume while its workers may still train."""
    with counted(out / "alone"), start(out, "alone", module=LINGERING) as dead:
        assert dead.until_recorded(30)
        workers = dead.workers
        assert workers
        dead.kill(signal.SIGKILL, group=False)
        began = time.monotonic()
        while dead.workers:
            time.sleep(0.05)
            assert time.monotonic() - began < 30
        gone = _since(began)
        finish(out, "alone")
        assert_nothing_trains(dead)
    assert_same(out / "alone", quiet)
    happened = f"its workers ended by themselves after {gone} s; the resumed search was not disturbed"
    return Row("the driver alone killed", "SIGKILL to the driver's process", happened, -signal.SIGKILL, SAME, gone)


def at_a_point(out: Path, quiet: Path, point: str, moment: str) -> Row:
    """The driver dies at a set point of its own code, then the search is resumed."""
    name = point.replace(":", "-")
    began = time.monotonic()
    if point.startswith("settling"):
        with start(out, name, module=(INJECT, "epoch:9")) as search:
            assert search.wait() == -signal.SIGKILL
    with start(out, name, module=(INJECT, point)) as search:
        assert search.wait(240) == -signal.SIGKILL, search.said
    finish(out, name)
    assert_same(out / name, quiet)
    return Row(f"kill -9 {moment}", f"SIGKILL to itself, {point}", "went on to its end", -9, SAME, _since(began))


def by_signal(out: Path, quiet: Path, number: signal.Signals, *, group: bool) -> Row:
    """SIGTERM or Ctrl-C in the middle of an epoch: an orderly end within ten seconds."""
    name = f"{number.name}-{group}"
    with start(out, name, module=LINGERING) as search:
        assert search.until_recorded(30)
        began = time.monotonic()
        search.kill(number, group=group)
        code, seconds = search.wait(30), _since(began)
        said = search.said
    assert code == 130, said
    assert seconds <= 10, (seconds, said)
    left = search_status(SearchFolder(out / name))
    assert left.status == "interrupted", left
    assert left.counts["running"] == 0
    finish(out, name)
    assert_same(out / name, quiet)
    whom = "process group" if group else "driver"
    return Row(
        f"{number.name} to the {whom}", f"{number.name} in an epoch", "interrupted, in order", code, SAME, seconds
    )


def workers_killed(out: Path, quiet: Path, times: int = 3) -> Row:
    """Kill what trains, several times in one search; the search goes on without a resume."""
    began = time.monotonic()
    with counted(out / "workers"), start(out, "workers", module=LINGERING) as search:
        for _ in range(times):
            assert search.until_recorded(12)
            for worker in search.workers:
                os.kill(worker, signal.SIGKILL)
        code = search.wait(240)
        said = search.said
    assert code == 0, said
    again = said.count("resuming from its last checkpoint")
    assert again >= 1, said
    assert "ActorDiedError: The actor died unexpectedly" in said
    assert_same(out / "workers", quiet)
    happened = f"the search went on; {again} trials continued from their last checkpoint"
    return Row(
        "a worker killed", f"SIGKILL to the training processes, {times} times", happened, code, SAME, _since(began)
    )


def stale_worker(out: Path, quiet: Path) -> Row:
    """A worker that outlives its driver goes on training and writing while the resumed search runs."""
    with start(out, "stale", module=(INJECT, "epoch:3")) as search:
        assert search.wait() == -signal.SIGKILL
    (last,) = (out / "stale").glob("trial_00000/last-*.pt")
    arguments = (str(out / "stale"), last.name.removeprefix("last-").removesuffix(".pt"))
    began = time.monotonic()
    stale = Started(out / "stale-worker", ("tests.tune.search.faults.stale_worker",), arguments)
    with stale, counted(out / "stale"), start(out, "stale", module=LINGERING) as search:
        code = search.wait(240)
        assert code == 0, search.said
        assert stale.wait(60) == 0, stale.said
    assert_same(out / "stale", quiet)
    said = stale.said.strip().splitlines()
    ended = "was refused" if "taken over" in said[-1] else "ended"
    happened = f"the stale worker wrote for {len(said)} steps and {ended}; the resumed search was not disturbed"
    return Row("a stale worker", "trains on from its driver's death", happened, code, SAME, _since(began))
