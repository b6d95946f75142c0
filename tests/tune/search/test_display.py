"""What a log of a search tells while nothing ends."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.tune.search.simulation import SPACE, Simulation, falling, metrics, spec_of
from tune.record import Status
from tune.runs.console import Narrower
from tune.search import display
from tune.search.worker.messages import Report


def trial_begun(folder: Path, observer: display.Lines) -> Simulation:
    """A search whose trial 0 has ended at loss .5, and whose trial 1 is at its epoch 2 of loss .4."""
    spec = spec_of(folder, SPACE, "search.scheduler.name=none")
    search = Simulation(spec, folder / "search", falling, observer=observer)
    for number, losses in enumerate([(0.6, 0.5), (0.7, 0.4)]):
        search.driver.next()
        for epoch, loss in enumerate(losses, start=1):
            search.driver.report(number, Report((metrics(epoch, loss),)))
        if number == 0:
            search.driver.report(number, Report((), "epochs"))
    return search


def test_a_minute_without_an_event_is_broken_by_the_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = trial_begun(tmp_path, display.Lines())
    capsys.readouterr()
    search.driver.poll()
    assert capsys.readouterr().err == ""

    monkeypatch.setattr(display, "QUIET", 0.0)
    search.driver.poll()
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "1/12 trials, about " in line
    assert " left; trial 1 at epoch 2; best: trial 1, epoch 2: val_loss 0.4000" in line


def test_the_time_left_is_not_guessed_before_an_epoch_and_bounded_before_a_trial_has_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Simulation(spec_of(tmp_path), tmp_path / "search", falling, observer=display.Lines())
    search.driver.next()
    search.driver.next()
    capsys.readouterr()
    monkeypatch.setattr(display, "QUIET", 0.0)
    search.driver.poll()
    assert capsys.readouterr().err.endswith("] 0/12 trials, estimating the time left\n")

    search.driver.report(1, Report((metrics(1, 0.6),)))
    search.driver.poll()
    # 12 trials of at most 9 epochs of half a second each, one epoch done, two trials at a time: 107 / 2 / 2 seconds
    assert "] 0/12 trials, at most about 0:27 left; trial 1 at epoch 1; best: " in capsys.readouterr().err


def test_a_paused_trial_counts_as_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With promotion hardly any trial ends before the last one has begun."""
    spec = spec_of(tmp_path, SPACE, "search.scheduler.type=promotion")
    search = Simulation(spec, tmp_path / "search", falling, observer=display.Lines())
    for number, loss in enumerate((0.6, 0.7)):
        search.driver.next()
        search.driver.report(number, Report((metrics(1, loss),)))
    capsys.readouterr()
    monkeypatch.setattr(display, "QUIET", 0.0)
    search.driver.poll()
    assert search.driver.ledger.counts[Status.PAUSED] == 2
    assert "] 2/12 trials, about " in capsys.readouterr().err


def test_speaking_begins_the_minute_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    search = trial_begun(tmp_path, display.Lines())
    capsys.readouterr()
    spoken = []
    for _ in range(240):
        now[0] += 1
        search.driver.poll()
        if capsys.readouterr().err:
            spoken.append(now[0] - 1000)
    assert spoken == [60, 120, 180, 240]


@pytest.mark.parametrize("width", [60, 80])
def test_a_running_trial_keeps_its_number_and_metrics_on_a_narrow_terminal(tmp_path: Path, width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    page = display.Page(console)
    search = trial_begun(tmp_path, page)
    console.print(Narrower(page.page(search.driver.ledger)))
    lines = console.file.getvalue().split("search   val_loss")[-1].splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width - 2
    assert any(line.startswith("trial 1  epoch 2  val_loss 0.4000") for line in lines), lines
    assert "1/12 trials" in "\n".join(lines)
