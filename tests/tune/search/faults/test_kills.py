"""Kills of real searches: the folder of one that was killed again and again equals that of one left alone.

Every search here is `python -m tune search digits` on a Ray of its own. The kill at every write of the journal, without
Ray, is in test_survival.py; real processes and everything around the journal are here. What they do is in kills.py.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tune.search.faults import kills
from tests.tune.search.faults.injections import INJECT
from tests.tune.search.processes import finish

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that nobody disturbed."""
    out = tmp_path_factory.mktemp("quiet")
    finish(out, "quiet")
    return out / "quiet"


def test_a_search_killed_two_ways_equals_one_left_alone(tmp_path: Path, quiet: Path) -> None:
    """The short version, for CI."""
    kills.two_ways(tmp_path, quiet)


def test_every_point_is_in_the_code() -> None:
    """The kills at most of them are slow, and a function that has another name now would not be noticed."""
    program = f"from {INJECT} import points; [put(lambda: None) for put in points().values()]; print(*points())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) >= {moment.split(":")[0] for moment in kills.POINTS | kills.BEGINNINGS}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills(tmp_path: Path, quiet: Path) -> None:
    kills.again_and_again(tmp_path, quiet, range(12), wanted=20)


@pytest.mark.slow
@pytest.mark.parametrize("kind", kills.KINDS)
def test_kills_over_searches_of_every_kind(tmp_path: Path, quiet: Path, kind: str) -> None:
    kills.of_a_kind(tmp_path, quiet, kind, wanted=5)


@pytest.mark.slow
def test_a_driver_killed_alone_leaves_nothing_that_disturbs(tmp_path: Path, quiet: Path) -> None:
    kills.driver_alone(tmp_path, quiet)


@pytest.mark.slow
@pytest.mark.parametrize(("point", "moment"), (kills.POINTS | kills.BEGINNINGS).items())
def test_a_kill_at_a_set_moment_changes_nothing(tmp_path: Path, quiet: Path, point: str, moment: str) -> None:
    kills.at_a_point(tmp_path, quiet, point, moment)


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_in_order_within_ten_seconds(
    tmp_path: Path, quiet: Path, number: signal.Signals, group: bool
) -> None:
    kills.by_signal(tmp_path, quiet, number, group=group)


@pytest.mark.slow
def test_killed_workers_cost_no_trial(tmp_path: Path, quiet: Path) -> None:
    kills.workers_killed(tmp_path, quiet)


@pytest.mark.slow
def test_a_worker_that_outlives_its_driver_does_no_harm(tmp_path: Path, quiet: Path) -> None:
    kills.stale_worker(tmp_path, quiet)
