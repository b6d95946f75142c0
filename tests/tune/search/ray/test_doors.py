"""Who can reach the Ray that a search starts for itself: this machine only, and only with its token."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray._private import worker

from tests.tune.search.ray.ray_workers import TabulatedWorker
from tests.tune.search.simulation import SPACE
from tune.errors import UserError
from tune.record.observer import Observer
from tune.search.ray.address import find_cluster
from tune.search.request import Request
from tune.search.runner import run_search

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray"), pytest.mark.timeout(180)]

ONLY_HERE = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


class Sockets(Observer):
    """While trials run: the program and the address of every port that this process and those below it listen at."""

    def __init__(self) -> None:
        self.found: set[tuple[str, str, int]] = set()

    def ended(self, *event: object) -> None:
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            try:
                name, sockets = process.name(), process.net_connections("inet")
            except psutil.NoSuchProcess:
                continue
            # A UDP socket that is bound has no state, and no other end.
            bound = [each for each in sockets if each.status == psutil.CONN_LISTEN or not (each.status or each.raddr)]
            self.found |= {(name, each.laddr.ip, each.laddr.port) for each in bound}


def test_every_port_of_a_running_search_is_one_of_this_machine(tmp_path: Path) -> None:
    space, sockets = tmp_path / "space.yaml", Sockets()
    space.write_text(SPACE)
    run_search(Request(str(space), tmp_path / "out", tmp_path / "data", ("search.trials=3",)), sockets, TabulatedWorker)
    programs = Counter(name for name, _, _ in sockets.found)
    assert programs["gcs_server"] >= 1
    assert programs["raylet"] >= 2
    assert sum(count for name, count in programs.items() if name.startswith("ray::")) >= 2  # workers, Ray's agents
    assert {ip for _, ip, _ in sockets.found} <= set(ONLY_HERE), sockets.found


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"RAY_AUTH_MODE": "disabled"},
        {"RAY_AUTH_MODE": "token"},
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "1" * 64},
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere"},
    ],
    ids=["no token", "asked for none", "missing", "wrong", "no such file"],
)
def test_a_client_without_its_token_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]
) -> None:
    node: Any = worker._global_node
    address = node.gcs_address
    assert os.environ["RAY_AUTH_MODE"] == "token"
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # in the client, Ray lets 127.0.0.1 be itself
    if not variables:
        assert find_cluster(address) == address
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray keeps a token
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        UserError,
        match=rf"--address {address}: the cluster refuses this client: it asks for a token; set RAY_AUTH_MODE=token and",
    ):
        find_cluster(address)
