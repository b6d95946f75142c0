"""Requests from outside in every kind of storage: a file beside a journal, a note in a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tune.record.places import Place
from tests.tune.search.control.sample_requests import ASKED, MINE, RESULTS, asking, requests_of, small
from tests.tune.search.simulation import Simulation
from tune.record.status import Status
from tune.search.control import taking


@pytest.fixture(autouse=True)
def looking_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "EVERY", 0.0)


def test_requests_are_done_and_recorded(place: Place, tmp_path: Path) -> None:
    """In a journal, SQLite and PostgreSQL."""
    folder = place.folder
    simulation = Simulation(small(tmp_path), folder.path, asking(folder, ASKED), study=folder.study)
    place.keep(simulation.record)
    simulation.run()
    trials = simulation.record.trials()
    assert [trial.status for trial in trials if trial.number != 2] == [Status.COMPLETED] * 8
    assert trials[2].config == MINE
    assert (trials[2].status, trials[2].reason, len(trials[2].epochs)) == (Status.STOPPED, "by hand", 0)
    assert simulation.ledger.target == len(trials) == 9  # one more was added, then 9 in all was asked for
    requests = requests_of(simulation)
    assert {request.id: request.result for request in requests.values()} == RESULTS
    assert all(request.taken >= request.asked for request in requests.values())
    assert not list(folder.requests.glob("*"))
    assert len([line for line in simulation.said if line.startswith("requested on ")]) == 3
