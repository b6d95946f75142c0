"""Searches that version 0.1 left are continued from their checkpoints, extended, and learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tune.cli.earlier_version import unpack
from tune import load_search
from tune.record.observer import Observer
from tune.search.request import Request
from tune.search.runner import run_search
from tune.search.shutdown import Outcome

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray"), pytest.mark.timeout(300)]


class Told(Observer):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def run(out: Path, subject: str, *overrides: str, told: Observer | None = None, **options: Any) -> Outcome:
    request = Request(
        subject, out, out / "data", ("search.resources.gpu=0", "search.concurrent=1", *overrides), **options
    )
    return run_search(request, told or Observer())


@pytest.mark.parametrize(("name", "epochs_done"), [("killed", 4), ("interrupted", 2)])
def test_they_go_on_from_their_checkpoints(tmp_path: Path, name: str, epochs_done: int) -> None:
    out = unpack(tmp_path)
    before = load_search(out / name).epochs
    assert len(before) == epochs_done
    assert run(out, name, resume=True, trials=1).state == "finished"
    after = load_search(out / name).epochs
    assert after.epoch.tolist() == [1, 2, 3, 4, 5]
    # None of the recorded epochs was trained again: their times are the same.
    assert after.seconds.tolist()[:epochs_done] == before.seconds.tolist()


def test_they_are_extended_and_learned_from(tmp_path: Path) -> None:
    out, told = unpack(tmp_path), Told()
    assert run(out, "finished", extend=1).counts["waiting"] == 0
    assert len(load_search(out / "finished").trials) == 5
    space = str(out / "finished" / "search.yaml")
    assert run(out, space, told=told, name="warm", trials=1, warm_start="finished").state == "finished"
    assert any("5 trials" in line for line in told.lines), told.lines
