"""Several seeds per trial, on tabulated curves and under kills, and one search that really trains."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import pytest
from safetensors.torch import load_file

from search_spaces import Config
from tests.tune.search.seeds import (
    KINDS,
    LENGTH,
    NONE,
    PROMOTION,
    curve,
    finished,
    first_loss,
    shifted,
    short,
    simulation,
)
from tests.tune.search.simulation import SPACE, Simulation, metrics, noise, spec_of
from tests.tune.search.survival import HOWS, killed_at_every_write, tables
from tune.record.status import Status
from tune.search.driver import NoTrial
from tune.search.worker.messages import Report
from tune.spec import SpecError


@pytest.mark.parametrize("kind", ["stopping", "gp", "objectives", pytest.param("none", marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", [how if how == "half" else pytest.param(how, marks=pytest.mark.slow) for how in HOWS])
def test_a_kill_at_every_write_changes_nothing(tmp_path: Path, kind: str, how: str) -> None:
    text, overrides = KINDS[kind]
    spec = short(tmp_path, *overrides, text=text)
    quiet, *killed = killed_at_every_write(lambda folder: simulation(spec, folder), tmp_path, how)
    assert (tables(quiet)[0]["seeds"] > 1).any()
    assert len(killed) > 40


def test_the_best_third_is_trained_again_and_ranked_by_its_mean(tmp_path: Path) -> None:
    """Without a scheduler, in the order of the trials: what a reader of the rule would do."""
    found = finished(tmp_path, NONE, "search.trials=12")
    means: dict[int, float] = {}
    counts: dict[int, int] = {}
    for trial in range(12):
        losses = [first_loss(trial, LENGTH)]
        bad = 0
        while True:
            means[trial] = fmean(losses)
            better = sum(mean < means[trial] for mean in means.values())
            if len(losses) + bad == 3 or better >= math.ceil(len(means) / 3):
                break
            seed = len(losses) + bad
            if (trial, seed) == (0, 1):
                bad += 1
            else:
                losses.append(losses[0] + 0.2 * noise(trial, seed) - 0.1)
        counts[trial] = len(losses)
    table = tables(found)[0].set_index("trial")
    assert table["seeds"].to_dict() == counts
    assert sorted(set(counts.values())) == [1, 2, 3]
    assert table["val_loss"].to_dict() == pytest.approx(means)
    assert found.ledger.best is not None
    assert found.ledger.best.number == min(means, key=means.__getitem__)
    assert table.loc[0, "reason"] == "all epochs; seed 2 diverged"
    assert set(table["status"]) == {"completed"}


def test_the_tables_tell_seeds_and_spread(tmp_path: Path) -> None:
    table, epochs = tables(finished(tmp_path))
    assert set(epochs["replicate"]) == {0, 1, 2}
    several = table[table["seeds"] == 3].iloc[0]
    ends = epochs[(epochs["trial"] == several["trial"]) & (epochs["epoch"] == LENGTH)]["val_loss"]
    assert several["val_loss"] == pytest.approx(fmean(ends))
    assert several["val_loss_std"] == pytest.approx(stdev(ends))
    assert several["epochs"] == LENGTH
    assert several["seconds"] == pytest.approx(3 * LENGTH * 0.5)
    alone = table[table["seeds"] == 1]
    assert len(alone) > 0
    assert alone["val_loss_std"].isna().all()


def test_a_search_with_one_seed_has_no_such_columns(tmp_path: Path) -> None:
    found = finished(tmp_path, "search.seeds=1")
    table, epochs = tables(found)
    assert not {"seeds", "val_loss_std", "replicate"} & {*table, *epochs}
    assert all(not {"seed", "seeds"} & set(trial.facts) for trial in found.record.trials())


def test_epochs_of_all_seeds_are_spent(tmp_path: Path) -> None:
    found = finished(tmp_path)
    spent = len(tables(found)[1])
    assert found.ledger.epochs_spent == spent > sum(len(trial.epochs) for trial in found.ledger.trials.values())
    again = simulation(found.ledger.spec, found.folder.path)
    assert again.ledger.epochs_spent == spent
    stopped = simulation(short(tmp_path, "search.stop.epochs=7"), tmp_path / "few")
    stopped.run()
    assert stopped.ledger.epochs_spent == 7


def test_the_weights_kept_are_those_of_the_first_seed(tmp_path: Path) -> None:
    found = finished(tmp_path)
    kept = sorted(found.folder.path.glob("trial_*/*"))
    assert [path.name for path in kept] == ["best.safetensors"] * 3
    assert all(load_file(path)["w"].eq(0).all() for path in kept)
    assert (tables(found)[0]["seeds"] > 1).any()


def test_a_trial_has_two_checkpoints_at_most(tmp_path: Path) -> None:
    most = 0

    def counted(trial: int, config: Config, epoch: int, seed: int) -> Report:
        nonlocal most
        most = max(most, len(list((tmp_path / "s" / f"trial_{trial:05d}").iterdir())))
        return shifted(trial, config, epoch, seed)

    found = simulation(short(tmp_path), tmp_path / "s")
    found.replicate = counted
    found.run()
    assert most == 2


def test_the_target_is_reached_by_the_mean(tmp_path: Path) -> None:
    """Single seeds reach it before; the search ends with the first trial whose three seeds do on average."""
    target = 1 + min(noise(trial) for trial in range(12)) + 1 / LENGTH + 0.1
    overrides = ("search.trials=12", f"search.stop.target.val_loss={target}")
    found = finished(tmp_path, *overrides)
    winner = found.driver.enough.winner
    assert winner is not None
    assert f"on average over the seeds of trial {winner}" in found.driver.halt
    trial, objective = found.ledger.trials[winner], found.record.objective
    assert len(trial.results(objective)) == 3
    assert (trial.cost(objective) or math.inf) <= target
    resumed = simulation(found.ledger.spec, found.folder.path)
    assert resumed.driver.next() is NoTrial.DONE
    assert resumed.driver.halt == found.driver.halt


def at_second_seed(tmp_path: Path, *overrides: str) -> tuple[Simulation, int]:
    """A search of which a trial has just begun to train its second seed."""
    found = simulation(short(tmp_path, *overrides), tmp_path / "s")
    task = found.driver.next()
    assert not isinstance(task, NoTrial)
    for epoch in range(1, LENGTH + 1):
        found.driver.report(task.trial, curve(task.trial, task.config, epoch))
    task = found.driver.next()
    assert not isinstance(task, NoTrial)
    assert (task.trial, task.seed) == (0, 1)
    found.driver.report(0, Report((metrics(1, 9.0),)))
    return found, task.trial


def test_a_trial_stopped_in_its_second_seed_keeps_its_first(tmp_path: Path) -> None:
    found, number = at_second_seed(tmp_path)
    found.driver.stop_trial(number, "stopped by hand")
    trial = found.ledger.trials[number]
    assert trial.status is Status.STOPPED
    assert trial.cost(found.record.objective) == first_loss(0, LENGTH)


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (Report(end="failed", reason="a bug"), "all epochs; seed 2 failed (a bug)"),
        (Report(end="out_of_memory", reason="too large"), "all epochs; seed 2 out of memory (too large)"),
        (Report((metrics(2, math.nan),), "diverged"), "all epochs; seed 2 diverged"),
    ],
)
def test_what_happens_to_a_further_seed_does_not_undo_the_first(tmp_path: Path, report: Report, reason: str) -> None:
    found, number = at_second_seed(tmp_path, "search.seeds=2", "search.failures.retries=0")
    assert found.driver.report(number, report)
    trial = found.record.trial(number)
    assert (trial.status, trial.reason) == (Status.COMPLETED, reason)
    assert trial.cost(found.record.objective) == first_loss(0, LENGTH)
    assert found.ledger.counts[Status.COMPLETED] == 1


def test_a_further_seed_that_hangs_ends_the_trial(tmp_path: Path) -> None:
    """Its worker is killed a moment later, which must not be taken for the death of another attempt's."""
    found, number = at_second_seed(tmp_path, "search.epoch_timeout=5")
    found.ledger.live[number] = found.ledger.clock() - 6
    assert found.driver.poll() == [number]
    assert found.record.trial(number).reason == "all epochs; seed 2 failed (hung)"


def test_a_seed_that_failed_before_its_first_epoch_is_followed_by_the_next(tmp_path: Path) -> None:
    """Its epochs are none; those of the third seed are not taken for them."""

    def failing(trial: int, config: Config, epoch: int, seed: int) -> Report:
        return Report(end="failed", reason="x") if seed == 1 else shifted(trial, config, epoch, seed)

    found = Simulation(short(tmp_path), tmp_path / "s", curve, replicate=failing)
    found.run()
    trial = found.record.trial(0)
    assert [len(run) for run in trial.replicates] == [0, LENGTH]
    assert replace(found.ledger.trials[0], started=None, ended_at=None) == replace(trial, started=None, ended_at=None)
    assert trial.reason == "all epochs; seed 2 failed (x)"


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_trial_that_has_ended_at_a_rung_is_not_promoted_from_it(tmp_path: Path, seeds: int) -> None:
    """By early stopping, or by hand while it was paused."""

    def stopping(trial: int, config: Config, epoch: int) -> Report:
        if trial == 3 and epoch == 2:
            found.driver.stop_trial(min(found.ledger.paused), "stopped by hand")
        return Report((metrics(epoch, first_loss(trial, epoch)),), "early_stopping" if epoch == 2 else None)

    found = Simulation(
        short(tmp_path, PROMOTION, f"search.seeds={seeds}", "search.trials=8"), tmp_path / "s", stopping,
        replicate=shifted,
    )  # fmt: skip
    found.run(workers=2)
    assert all(trial.status.ended for trial in found.ledger.trials.values())


def test_several_workers_lose_and_double_nothing(tmp_path: Path) -> None:
    table, epochs = tables(finished(tmp_path, "search.trials=15", workers=4))
    assert not epochs.duplicated(["trial", "replicate", "epoch"]).any()
    assert (epochs["replicate"] == 0).sum() == table["epochs"].sum()
    assert set(table["status"]) <= {"completed", "stopped"}
    assert table["seeds"].max() == 3


def test_a_seed_that_is_searched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"search\.seeds: must be 1 where seed is searched \(got 3\)"):
        spec_of(tmp_path, SPACE.replace("search:", "  seed: {int: [0, 9]}\nsearch:"), "search.seeds=3")
    with pytest.raises(SpecError, match=r"search\.seeds: must be at least 1"):
        spec_of(tmp_path, SPACE, "search.seeds=0")
