"""stop, add and set from outside: each request is done once, whatever happens to the driver. Without Ray."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.tune.search.control.sample_requests import ASKED, MINE, RESULTS, ask, asking, requests_of, small
from tests.tune.search.simulation import Simulation, falling
from tests.tune.search.survival import HOWS, Begin, killed_at, killed_at_every_write, survive
from tune.record.control_requests import Action, ControlRequest
from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.search.control import taking
from tune.search.control.taking import STOPPED
from tune.search.driver import NoTrial
from tune.spec import SearchSpec


@pytest.fixture(autouse=True)
def looking_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "EVERY", 0.0)


def begin(spec: SearchSpec, requests: dict[tuple[int, int], list[ControlRequest]]) -> Begin:
    return lambda folder: Simulation(spec, folder, asking(SearchFolder(folder), requests))


@pytest.mark.parametrize("how", [how if how == "after" else pytest.param(how, marks=pytest.mark.slow) for how in HOWS])
def test_a_kill_at_every_write_loses_and_doubles_nothing(tmp_path: Path, how: str) -> None:
    """The tables and the answers are those of a search that was asked the same and left alone."""
    spec = small(tmp_path, "training.epochs=3", "search.scheduler.max_t=3")
    for simulation in killed_at_every_write(begin(spec, ASKED), tmp_path, how):
        assert {request.id: request.result for request in requests_of(simulation).values()} == RESULTS
        assert simulation.ledger.target == 9


@pytest.mark.parametrize("how", HOWS)
def test_a_stop_ends_a_search_once(tmp_path: Path, how: str) -> None:
    """Whenever its driver is killed: it was stopped before that, or is at the next start, and not a second time."""
    search = begin(small(tmp_path), {(1, 2): [ControlRequest(Action.STOP, id="1")]})
    with killed_at(math.inf, how) as writes:
        stopped = survive(search, tmp_path / "quiet")
        total = writes()
    assert stopped.driver.halt == STOPPED
    assert stopped.record.trials()[1].status is Status.WAITING
    assert len(stopped.record.trials()[1].epochs) == 2
    assert not survive(search, tmp_path / "quiet").driver.halt
    for write in range(total - 6, total + 1):
        folder = tmp_path / f"killed-{write}"
        survive(search, folder, [(write, how)])
        assert len(survive(search, folder).record.trials()) == 6
        state = '"state":{"state":"stopped"'
        assert (folder / "study.journal").read_text().count(state) == 1, write


def test_what_is_asked_of_a_resting_search_is_done_when_it_is_resumed(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "s")
    Simulation(small(tmp_path), folder.path).run()
    ask(folder, ControlRequest(Action.ADD, values=MINE, id="1"))
    assert [request.result for request in requests_of(Simulation(small(tmp_path), folder.path)).values()] == [""]
    resumed = Simulation(small(tmp_path), folder.path)
    resumed.run()
    assert [trial.config for trial in resumed.record.trials()[6:]] == [MINE]
    assert resumed.record.trials()[6].status is Status.COMPLETED
    again = Simulation(small(tmp_path), folder.path)
    assert again.driver.next() is NoTrial.DONE
    assert again.ledger.target == 7


def test_a_configuration_is_not_added_twice(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "s")
    simulation = Simulation(small(tmp_path), folder.path)
    simulation.run()
    config = simulation.record.trials()[3].config
    ask(folder, ControlRequest(Action.ADD, values=config, id="1"), ControlRequest(Action.STOP_TRIAL, 3, id="2"))
    again = Simulation(small(tmp_path), folder.path)
    again.run()
    results = [request.result for request in requests_of(again).values()]
    assert results == ["not added: trial 3 already has this configuration", "it had already ended: completed"]
    assert len(again.record.trials()) == 6


def test_concurrent_holds_back_and_lets_go(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "s")
    simulation = Simulation(small(tmp_path, "search.concurrent=1"), folder.path)
    driver = simulation.driver
    assert driver.next().trial == 0  # type: ignore[union-attr]
    assert driver.next() is NoTrial.WAIT
    ask(folder, ControlRequest(Action.SET, values={"search.concurrent": 2}, id="1"))
    assert driver.next().trial == 1  # type: ignore[union-attr]
    assert driver.next() is NoTrial.WAIT
    ask(folder, ControlRequest(Action.SET, values={"search.concurrent": None}, id="2"))
    assert driver.next().trial == 2  # type: ignore[union-attr]


def test_a_trial_that_runs_is_stopped_at_once_and_its_worker_killed(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "s")
    simulation = Simulation(small(tmp_path), folder.path)
    driver = simulation.driver
    driver.next()
    ask(folder, ControlRequest(Action.STOP_TRIAL, 0, id="1"))
    assert driver.poll() == [0]
    assert driver.poll() == []
    trial = simulation.record.trial(0)
    assert (trial.status, trial.reason) == (Status.STOPPED, "by hand")
    assert driver.report(0, falling(0, trial.config, 1))  # too late: over
    folder.trial(0).mkdir(exist_ok=True)
    (folder.trial(0) / "last-x.pt").touch()  # what its worker wrote before it was killed
    driver.worker_died(0, "killed")
    assert not list(folder.trial(0).glob("*"))
