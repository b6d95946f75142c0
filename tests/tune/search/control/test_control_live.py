"""stop, add and set on a search that runs on Ray in another process: done within seconds, and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tune.cli.conftest import Command, imagetune
from tests.tune.record.searching import MODULE
from tests.tune.search.processes import Started
from tests.tune.search.simulation import SPACE
from tune.search.control import asking

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]
__all__ = ["imagetune"]  # the fixture

LONG = (
    SPACE.replace("trials: 12", "trials: 500").replace("epochs: 9", "epochs: 10000").replace("name: asha", "name: none")
)
"""No trial ends of itself, however slow the machine: what runs when it is asked for still runs when it is stopped."""


def seconds(asked: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    outcome = asked()
    return time.monotonic() - began, outcome


def test_a_live_search_does_what_another_process_asks(imagetune: Command, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(LONG, encoding="utf-8")
    out = tmp_path / "checkpoints"
    out.mkdir()
    with Started(out / "s", MODULE, (str(tmp_path / "space.yaml"), str(out), "")) as search:
        assert search.until(lambda: search.journal.is_file() and b'"epoch:2"' in search.journal.read_bytes())
        before = imagetune("status", "s", "--json").document
        assert (before["status"], before["counts"]["running"]) == ("running", 1)

        took, added = seconds(lambda: imagetune("add", "s", "training.batch_size=16", "--json").document)
        assert took < asking.PATIENCE
        number = int(added["result"].removeprefix("trial "))
        assert imagetune("set", "s", "search.concurrent=2", "search.trials=400").out == (
            "s: set search.concurrent=2 search.trials=400: set\n"
        )
        assert search.until(lambda: imagetune("status", "s", "--json").document["counts"]["running"] == 2)

        rows = imagetune("results", "s", "--json").document["trials"]
        running = max(row["trial"] for row in rows if row["status"] == "running")
        assert {row["config.training.batch_size"] for row in rows if row["trial"] == number} == {16}
        assert imagetune("stop", "s", "--trial", str(running)).out == f"s: stop --trial {running}: stopped\n"

        assert imagetune("stop", "s").out == "s: stop: stopped\n"
        assert search.wait(60) == 0, search.said  # 4 seconds on a quiet machine
    after = imagetune("status", "s", "--json").document
    assert (after["status"], after["reason"], after["trials"]) == ("stopped", "stopped by hand", 400)
    assert after["counts"]["running"] == 0
    assert [request["result"] for request in after["requests"]] == [f"trial {number}", "set", "stopped", "stopped"]
    (row,) = (row for row in imagetune("results", "s", "--json").document["trials"] if row["trial"] == running)
    assert (row["status"], row["reason"]) == ("stopped", "by hand")
    assert imagetune("stop", "s").code == 2
