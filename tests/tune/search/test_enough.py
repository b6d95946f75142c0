"""search.stop: a target, a plateau, epochs; also across kills, resumes, extensions and changed rules."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from search_spaces import Config
from tests.tune.search.control.sample_requests import ask
from tests.tune.search.simulation import SPACE, Curve, Simulation, falling, metrics, spec_of
from tests.tune.search.survival import killed_at_every_write, tables
from tune.record.control_requests import Action, ControlRequest
from tune.record.status import Status
from tune.search.driver import NoTrial
from tune.search.ends import reaches
from tune.search.worker.messages import Report
from tune.spec import SearchSpec

WHOLE = ("search.scheduler.name=none", "training.epochs=3")


def losing(losses: list[float]) -> Curve:
    """Trials of three epochs, whose losses fall to the given values; the last is that of all later ones."""

    def curve(trial: int, config: Config, epoch: int) -> Report:
        loss = losses[min(trial, len(losses) - 1)] + (3 - epoch) * 0.01
        return Report((metrics(epoch, loss),), "epochs" if epoch == 3 else None)

    return curve


def rule(folder: Path, *overrides: str) -> SearchSpec:
    return spec_of(folder, SPACE, *WHOLE, *overrides)


def test_a_target_is_reached_by_every_metric_in_its_direction() -> None:
    epoch = metrics(1, 2.0)  # accuracy .8
    assert reaches({"val_loss": 2.0, "val_accuracy": 0.8}, epoch.values)
    assert not reaches({"val_loss": 1.9, "val_accuracy": 0.8}, epoch.values)
    assert not reaches({"val_loss": 2.0, "val_accuracy": 0.81}, epoch.values)
    assert not reaches({"val_kl": 1.0}, epoch.values)
    assert not reaches({"val_loss": 2.0}, metrics(1, math.nan).values)


def test_the_trial_that_reaches_the_target_ends_and_keeps_its_weights(tmp_path: Path) -> None:
    spec = rule(tmp_path, "search.stop={target: {val_accuracy: 0.7}}")  # a loss of 3
    simulation = Simulation(spec, tmp_path / "s", losing([5, 4, 2.99]), files=True)
    simulation.run()
    trials = simulation.record.trials()
    assert [(trial.status, len(trial.epochs)) for trial in trials] == [
        (Status.COMPLETED, 3), (Status.COMPLETED, 3), (Status.STOPPED, 2),
    ]  # fmt: skip
    assert simulation.driver.halt == "the target is reached: val_accuracy 70.00 % in epoch 2"
    assert trials[2].reason == simulation.driver.halt
    assert simulation.folder.best(2).is_file()


def test_a_plateau_counts_the_trials_since_the_best(tmp_path: Path) -> None:
    simulation = Simulation(rule(tmp_path, "search.stop.plateau=3"), tmp_path / "s", losing([5, 4, 6, 3, 7]))
    simulation.run()
    assert [trial.number for trial in simulation.record.trials() if trial.status.ended] == list(range(3 + 1 + 3))
    assert simulation.driver.halt == "no better trial in the last 3 (search.stop.plateau=3)"


def test_epochs_are_those_of_the_whole_search(tmp_path: Path) -> None:
    simulation = Simulation(rule(tmp_path, "search.stop.epochs=10"), tmp_path / "s", losing([5]))
    simulation.run()
    assert sum(len(trial.epochs) for trial in simulation.record.trials()) == 10
    assert simulation.record.trials()[3].status is Status.WAITING
    assert "10 epochs trained" in simulation.driver.halt


@pytest.mark.parametrize("text", ["stop.plateau=2", "stop.epochs=7", "stop={target: {val_loss: 4.0}}"])
def test_a_resumed_search_that_has_done_enough_ends_at_once(tmp_path: Path, text: str) -> None:
    spec, curve = rule(tmp_path, f"search.{text}"), losing([5, 6, 4, 7])
    first = Simulation(spec, tmp_path / "s", curve)
    first.run()
    before = tables(first)
    again = Simulation(spec, tmp_path / "s", curve)
    assert again.driver.next() is NoTrial.DONE
    assert again.driver.halt == first.driver.halt
    assert any("use --extend N or set another search.stop" in line for line in again.said)
    for ours, theirs in zip(tables(again), before, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
    extended = Simulation(spec, tmp_path / "s", curve)
    extended.driver.enough.lift()
    extended.run()
    assert len(extended.record.trials()) == 12
    later = Simulation(spec, tmp_path / "s", curve)  # lifted for good
    assert later.driver.next() is NoTrial.DONE
    assert not later.driver.halt


def test_another_rule_continues_the_search(tmp_path: Path) -> None:
    spec = rule(tmp_path, "search.stop.epochs=7")
    Simulation(spec, tmp_path / "s", losing([5])).run()
    simulation = Simulation(spec, tmp_path / "s", losing([5]))
    ask(simulation.folder, ControlRequest(Action.SET, values={"search.stop.epochs": 11}))
    simulation.run()
    assert sum(len(trial.epochs) for trial in simulation.record.trials()) == 11
    assert "11 epochs trained (search.stop.epochs=11)" in simulation.driver.halt


@pytest.mark.parametrize(
    ("text", "scheduler"),
    [
        ("stop.plateau=3", "promotion"),
        ("stop.plateau=3", "stopping"),
        ("stop.epochs=21", "promotion"),
        ("stop={target: {val_loss: 0.8}}", "promotion"),
    ],
)
def test_a_kill_at_every_write_ends_at_the_same_point(tmp_path: Path, text: str, scheduler: str) -> None:
    spec = spec_of(tmp_path, SPACE, f"search.{text}", f"search.scheduler.type={scheduler}", "search.trials=20")
    quiet, *killed = killed_at_every_write(lambda folder: Simulation(spec, folder), tmp_path, "after", every=2)
    assert quiet.driver.halt
    assert {simulation.driver.halt for simulation in killed} == {quiet.driver.halt}


@pytest.mark.parametrize(("keep", "ends_at"), [(0, 100), (2, 91)])
def test_a_time_budget_keeps_time_to_retrain_the_best_trial(tmp_path: Path, keep: int, ends_at: int) -> None:
    """Its 9 epochs of .5 s each, on so many seeds."""
    settings = ("search.time_budget=100", f"search.keep_for_retraining={keep}")
    simulation = Simulation(spec_of(tmp_path, SPACE, *settings), tmp_path / "s")
    driver, ledger = simulation.driver, simulation.ledger
    driver.poll()
    driver.next()
    driver.report(0, falling(0, ledger.trials[0].config, 1))
    for second in range(1, 200):
        ledger.clock = lambda: ledger.began + second  # noqa: B023
        driver.poll()
        if driver.halt:
            break
    assert second == ends_at + 1
    told = f", except for {9 * 0.5 * keep:.0f} s kept to retrain the best trial" if keep else ""
    assert driver.halt == f"the time budget of 100 s is used up{told}"
