"""Requests that are left for a simulated search while it runs, and what came of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from search_spaces import Config
from tests.tune.search.simulation import LOSS, SPACE, Curve, Simulation, falling, spec_of
from tune.record.control_requests import Action, ControlRequest, all_requests, put
from tune.record.folder import SearchFolder
from tune.record.opening import open_record
from tune.search.worker.messages import Report
from tune.spec import SearchSpec

MINE: Config = {"training.optimizer.lr": 0.0123, "training.batch_size": 16}
ASKED = {
    (1, 1): [ControlRequest(Action.ADD, values=MINE, id="1"), ControlRequest(Action.STOP_TRIAL, trial=2, id="2")],
    (4, 1): [ControlRequest(Action.SET, values={"search.trials": 9}, id="3")],
}
RESULTS = {"1": "trial 2", "2": "stopped", "3": "set"}


def ask(folder: SearchFolder, *requests: ControlRequest) -> None:
    """Leave requests as another process does."""
    with closing(open_record(folder, LOSS)) as record:
        known = {one.id for one in all_requests(folder, record.facts)}
        for request in requests:
            if request.id not in known:
                put(folder, record, request)


def asking(folder: SearchFolder, requests: dict[tuple[int, int], list[ControlRequest]]) -> Curve:
    """Falling curves, during which requests are left: (trial, epoch) -> request."""

    def curve(trial: int, config: Config, epoch: int) -> Report:
        if (trial, epoch) in requests:
            ask(folder, *requests[trial, epoch])
        return falling(trial, config, epoch)

    return curve


def small(folder: Path, *overrides: str) -> SearchSpec:
    return spec_of(folder, SPACE, "search.trials=6", "search.scheduler.name=none", *overrides)


def requests_of(simulation: Simulation) -> dict[str, ControlRequest]:
    return {request.id: request for request in all_requests(simulation.folder, simulation.record.facts)}
