"""What is said where the end of a search cannot be saved."""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tune.search.simulation import SPACE, Simulation, metrics, spec_of
from tune.record.disk import UnwritableError
from tune.search import shutdown
from tune.search.shutdown import finish, stopping_on
from tune.search.worker.messages import Report


def simulation(tmp_path: Path) -> Simulation:
    one = Simulation(spec_of(tmp_path), tmp_path / "s")
    one.driver.next()
    one.driver.stop("interrupted by SIGTERM")
    return one


def raises(error: Exception) -> Callable[..., None]:
    def close(*args: object) -> None:
        raise error

    return close


def test_a_search_that_was_closed_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = simulation(tmp_path)
    shutdown._end_anyway(one.driver)
    assert "everything is saved" in capsys.readouterr().err
    assert one.ledger.record.facts["state"]["state"] == "interrupted"


@pytest.mark.parametrize(
    "error", [UnwritableError("no space"), OSError(errno.EIO, "broken disk"), RuntimeError("a bug")]
)
def test_what_could_not_be_saved_is_not_called_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    one = simulation(tmp_path)
    monkeypatch.setattr(one.ledger.record, "note", raises(error))
    shutdown._end_anyway(one.driver)
    said = capsys.readouterr().err
    assert "everything is saved" not in said
    assert "but not how the search ended" in said
    assert str(error) in said


def test_a_save_that_hangs_is_not_called_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, over = simulation(tmp_path), threading.Event()
    monkeypatch.setattr(shutdown, "SAVING", 0.1)
    monkeypatch.setattr(shutdown, "close", lambda driver: over.wait())
    shutdown._end_anyway(one.driver)
    over.set()
    assert "everything is saved" not in capsys.readouterr().err


def test_a_record_that_takes_no_more_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = simulation(tmp_path)
    monkeypatch.setattr(one.ledger.record, "note", raises(UnwritableError("no space")))
    assert finish(one.driver).exit_code == 130
    assert "no space" in one.said[-1]
    assert "could not be recorded" in one.said[-1]


def test_trials_that_all_diverged_are_named(tmp_path: Path) -> None:
    one = Simulation(
        spec_of(tmp_path, SPACE, "search.trials=2"),
        tmp_path / "s",
        lambda trial, config, epoch: Report((metrics(epoch, math.nan),), "diverged"),
    )
    one.run()
    outcome = finish(one.driver)
    assert (outcome.state, outcome.reason) == (
        "failed",
        "no trial produced val_loss: trial 0 diverged; trial 1 diverged",
    )


def test_a_failure_of_ray_stops_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Simulation(spec_of(tmp_path), tmp_path / "s")
    monkeypatch.setattr(shutdown, "ASKING", 0.01)
    answers = iter(["", "once", "", *["gone"] * 9])
    stopped = threading.Event()

    def stop(reason: str) -> None:
        one.driver.halt = reason
        stopped.set()

    monkeypatch.setattr(one.driver, "stop", stop)
    with stopping_on(lambda: next(answers), one.driver):
        assert stopped.wait(10)
    assert one.driver.halt == "failed: gone"
