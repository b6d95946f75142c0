"""Searches that pause and promote their trials, on tabulated curves and under kills."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from search_spaces import Config
from tests.tune.search.simulation import SPACE, Simulation, falling, spec_of
from tests.tune.search.survival import HOWS, ending, killed_at_every_write, survive, tables
from tune.record.opening import read_search
from tune.record.search_yaml import write_spec
from tune.record.status import Status
from tune.search.worker.messages import Assignment, Report

PROMOTION = "search.scheduler.type=promotion"


def test_a_search_spends_its_epochs_on_short_trials_and_ends_with_a_long_one(tmp_path: Path) -> None:
    trained: Counter[tuple[int, int]] = Counter()

    class Counting(Simulation):
        def _step(self, task: Assignment, done: dict[int, int]) -> Report:
            trained[task.trial, done.get(task.trial, 0) + 1] += 1
            return super()._step(task, done)

    simulation = Counting(spec_of(tmp_path, SPACE, PROMOTION), tmp_path / "s")
    simulation.run()
    trials = simulation.ledger.trials.values()
    assert set(trained.values()) == {1}  # no epoch twice
    assert len(trials) == 12
    assert {trial.status for trial in trials} == {Status.COMPLETED, Status.STOPPED}
    lengths = Counter(len(trial.epochs) for trial in trials)
    assert set(lengths) == {1, 3, 9}
    assert lengths[1] in (7, 8)  # a third of 12 are promoted, or one more: who was among the best may fall behind later
    assert lengths[9] in (1, 2)
    assert all("not promoted" in trial.reason for trial in trials if trial.status is Status.STOPPED)
    firsts = sorted(trials, key=lambda trial: trial.epochs[0].values["val_loss"])
    longest = max(trials, key=lambda trial: len(trial.epochs))
    assert longest.number in {trial.number for trial in firsts[:4]}


def test_one_trial_alone_runs_to_its_end(tmp_path: Path) -> None:
    simulation = Simulation(spec_of(tmp_path, SPACE, PROMOTION, "search.trials=1"), tmp_path / "s")
    simulation.run()
    (trial,) = simulation.ledger.trials.values()
    assert trial.status is Status.COMPLETED
    assert len(trial.epochs) == 9


def test_paused_checkpoints_are_bounded(tmp_path: Path) -> None:
    """Those of the best two paused trials are kept, and none of a trial that has ended."""
    most = 0

    def curve(trial: int, config: Config, epoch: int) -> Report:
        nonlocal most
        kept = {path.parent.name for path in (tmp_path / "s").glob("trial_*/last-*.pt")}
        paused = {f"trial_{number:05d}" for number in simulation.ledger.paused}
        most = max(most, len(kept & paused))
        return falling(trial, config, epoch)

    spec = spec_of(tmp_path, SPACE, PROMOTION, "search.retention.paused=2")
    simulation = Simulation(spec, tmp_path / "s", curve, files=True)
    simulation.run()
    assert most == 2
    assert not list((tmp_path / "s").glob("trial_*/last-*.pt"))
    assert len(list((tmp_path / "s").glob("trial_*/best.*"))) == 3  # `retention.best`


@pytest.mark.parametrize("how", [how if how == "half" else pytest.param(how, marks=pytest.mark.slow) for how in HOWS])
def test_a_kill_at_every_write_changes_nothing(tmp_path: Path, how: str) -> None:
    """The stopping type shows every way to die in every run."""
    killed_at_every_write(ending(spec_of(tmp_path, SPACE, "search.trials=6", PROMOTION)), tmp_path, how)


def test_with_several_workers_and_gp_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    gp = "search.sampler={name: gp, startup: 4}"
    spec = spec_of(tmp_path, SPACE, "search.trials=10", PROMOTION, gp)
    for every in (5, 8):
        kills = [(every, "half")] * 30
        trials, epochs = tables(survive(ending(spec), tmp_path / f"killed-{every}", kills, workers=3))
        assert (trials["status"] != "infeasible").sum() == 10
        assert not set(trials["status"]) & {"running", "waiting", "paused"}
        assert not epochs.duplicated(["trial", "epoch"]).any()
        assert len(epochs) == trials["epochs"].sum()
        assert not trials.duplicated(["config.training.optimizer.lr", "config.training.batch_size"]).any()


def test_several_workers_end_every_trial(tmp_path: Path) -> None:
    simulation = Simulation(spec_of(tmp_path, SPACE, PROMOTION, "search.trials=20"), tmp_path / "s")
    simulation.run(workers=4)
    assert all(trial.status.ended for trial in simulation.ledger.trials.values())
    assert any(len(trial.epochs) == 9 for trial in simulation.ledger.trials.values())


def test_a_paused_trial_is_shown_as_such_while_nothing_runs(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, SPACE, PROMOTION, "search.trials=4")
    simulation = Simulation(spec, tmp_path / "s")
    write_spec(simulation.folder, spec, {})
    number = simulation.driver.next().trial  # type: ignore[union-attr]
    simulation.driver.report(number, falling(number, simulation.ledger.trials[number].config, 1))
    assert [trial.status for trial in read_search(simulation.folder).trials] == [Status.PAUSED]
