"""Every search ends: no sequence of ends, of whatever kinds, draws configurations without bound."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from search_spaces import Config
from tests.tune.search.simulation import SPACE, Simulation, metrics, spec_of
from tune.record.status import Status
from tune.record.study import TrialRecord
from tune.search.attempt import Report
from tune.search.driver import MAX_WORKER_DEATHS, NoTrial
from tune.search.ends import INFEASIBLE_FACTOR, hopeless
from tune.spec.search import FailureSpec

TRIALS, CONSECUTIVE, RETRIES = 3, 2, 1
MOST_DRAWN = TRIALS * INFEASIBLE_FACTOR * CONSECUTIVE
MOST_STARTED = MOST_DRAWN * (1 + RETRIES + MAX_WORKER_DEATHS + 1)  # and one more after an out-of-memory error
HAPPENINGS = (
    "epochs", "early_stopping", "diverged", "out_of_memory", "infeasible", "failed", "worker died", "killed for memory",
)  # fmt: skip


@pytest.fixture(scope="module")
def text() -> str:
    """Trials that one epoch can end."""
    return SPACE.replace(
        "trials: 12", f"trials: {TRIALS}\n  failures: {{retries: {RETRIES}, consecutive: {CONSECUTIVE}}}"
    )


@settings(max_examples=60, deadline=None)
@given(
    happenings=st.lists(st.sampled_from(HAPPENINGS), min_size=1, max_size=40),
    common=st.sampled_from(HAPPENINGS),
    workers=st.integers(1, 3),
)
def test_every_search_ends_after_a_bounded_number_of_draws(
    tmp_path_factory: pytest.TempPathFactory, text: str, happenings: list[str], common: str, workers: int
) -> None:
    """What happens to each trial that starts is drawn at random, then always the same."""
    folder = tmp_path_factory.mktemp("ends")
    driver = Simulation(spec_of(folder, text), folder / "s").driver
    started, live = 0, list[int]()
    while True:
        while len(live) < workers and not isinstance(answer := driver.next(), NoTrial):
            live.append(answer.trial)
        if not live:
            break
        happening = happenings[started] if started < len(happenings) else common
        started += 1
        assert started <= MOST_STARTED
        number = live.pop(0)
        if happening in ("worker died", "killed for memory"):
            driver.worker_died(number, happening, out_of_memory=happening == "killed for memory")
        else:
            done = (metrics(1, 1.0),) if happening in ("epochs", "early_stopping", "diverged") else ()
            assert driver.report(number, Report(done, happening, "a reason"))
    assert len(driver.ledger.trials) <= MOST_DRAWN
    assert driver.halt or driver.ledger.left == 0


def test_infeasible_configurations_in_a_row_end_the_search(tmp_path: Path, text: str) -> None:
    simulation = Simulation(
        spec_of(tmp_path, text), tmp_path / "s", lambda trial, config, epoch: Report((), "infeasible", "too small")
    )
    simulation.run()
    assert simulation.driver.halt == "failed: 20 configurations in a row were infeasible: too small"
    assert Counter(trial.status for trial in simulation.record.trials()) == {Status.INFEASIBLE: 20}


def test_images_that_vanish_under_a_search_end_it_with_their_name(tmp_path: Path) -> None:
    """Its configurations are not to blame, and its space is not exhausted."""
    driver = Simulation(spec_of(tmp_path), tmp_path / "s").driver

    def gone(config: Config) -> None:
        raise data.DataError("data.path /images does not exist")

    driver.ledger.proposer._check = gone
    assert driver.next() is NoTrial.DONE
    assert driver.halt == "failed: data.path /images does not exist"
    assert not driver.exhausted


@pytest.mark.parametrize(
    ("statuses", "ends"),
    [
        ("F", False),
        ("FF", True),
        ("FIF", True),  # infeasible ones in between say nothing
        ("CFFF", False),  # something worked
        ("FOF", False),
        ("FWF", True),
        ("I" * 19, False),
        ("I" * 20, True),
        ("C" + "I" * 20, True),
        ("I" * 19 + "D" + "I", False),
        ("I" * 10 + "R" + "I" * 10, True),
        ("", False),
    ],
)
def test_when_a_search_is_hopeless(statuses: str, ends: bool) -> None:
    letters = {
        "F": Status.FAILED, "I": Status.INFEASIBLE, "C": Status.COMPLETED, "O": Status.OUT_OF_MEMORY,
        "D": Status.DIVERGED, "W": Status.WAITING, "R": Status.RUNNING,
    }  # fmt: skip
    trials = [TrialRecord(number, {}, letters[letter]) for number, letter in enumerate(statuses)]
    assert bool(hopeless(Status.FAILED, trials, FailureSpec(retries=0, consecutive=CONSECUTIVE))) is ends


def test_out_of_memory_beside_other_trials_is_tried_once_more(tmp_path: Path) -> None:
    simulation = Simulation(spec_of(tmp_path), tmp_path / "s")
    driver = simulation.driver
    numbers = [answer.trial for _ in range(3) if not isinstance(answer := driver.next(), NoTrial)]
    assert numbers == [0, 1, 2]
    driver.report(0, Report((), "out_of_memory", "first"))
    driver.worker_died(1, "killed by Ray's memory monitor", out_of_memory=True)
    assert [driver.ledger.trials[number].status for number in (0, 1)] == [Status.WAITING] * 2
    for number in (0, 1):
        answer = driver.next()
        assert not isinstance(answer, NoTrial)
        assert answer.trial == number
    driver.report(0, Report((metrics(1, 1.0),)))  # this time there is enough
    driver.worker_died(1, "killed by Ray's memory monitor", out_of_memory=True)
    assert [driver.ledger.trials[number].status for number in (0, 1)] == [Status.RUNNING, Status.OUT_OF_MEMORY]


def test_out_of_memory_alone_is_the_configurations_fault(tmp_path: Path) -> None:
    driver = Simulation(spec_of(tmp_path), tmp_path / "s").driver
    driver.next()
    driver.report(0, Report((), "out_of_memory", "first"))
    assert driver.ledger.trials[0].status is Status.OUT_OF_MEMORY
