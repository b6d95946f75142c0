"""The epochs that a search is expected to take, against formulas and against searches by the real driver."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from search_spaces import Config
from tests.tune.search.simulation import SPACE, Simulation, metrics, noise, spec_of
from tune.record.search_status import ESTIMATE
from tune.search.preview.expected import expected
from tune.search.worker.messages import Report


def keeping_ranks(trial: int, config: Config, epoch: int) -> Report:
    """Trials whose ranks never change."""
    return Report((metrics(epoch, noise(trial)),), "epochs" if epoch == 9 else None)


def test_without_a_scheduler_every_trial_runs_to_its_end(tmp_path: Path) -> None:
    found = expected(spec_of(tmp_path, SPACE, "search.scheduler.name=none"), 12, 2)
    assert (found.epochs, found.most, found.rungs) == (12 * 9, 12 * 9, {})


def test_trials_of_different_lengths_count_as_they_are(tmp_path: Path) -> None:
    found = expected(spec_of(tmp_path, SPACE, "search.scheduler.name=none"), 200, 2, [1, 9])
    assert found.most == 200 * 5
    assert found.epochs == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
@pytest.mark.parametrize(("trials", "workers"), [(27, 1), (81, 4), (2000, 4)])
def test_a_third_continues_at_each_rung(tmp_path: Path, kind: str, trials: int, workers: int) -> None:
    """As many as by successive halving, and those that were promoted before better ones came."""
    found = expected(spec_of(tmp_path, SPACE, f"search.scheduler.type={kind}"), trials, workers)
    assert list(found.rungs) == [1, 3] or list(found.rungs) == [1, 3, 9]
    assert found.rungs[1] == pytest.approx(trials)
    assert trials / 3 - 1 <= found.rungs[3] <= trials / 3 + 0.25 * trials
    assert found.most == 9 * trials
    halving = trials + 2 * trials / 3 + 6 * trials / 9
    assert 0.9 * halving < found.epochs < 2 * halving


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_the_real_driver_takes_about_as_many(tmp_path: Path, kind: str) -> None:
    spec = spec_of(tmp_path, SPACE, f"search.scheduler.type={kind}", "search.trials=40", "search.sampler.name=random")
    simulation = Simulation(spec, tmp_path / "s", keeping_ranks)
    simulation.run(2)
    assert simulation.ledger.epochs_spent == pytest.approx(expected(spec, 40, 2).epochs, rel=0.3)
    estimate = simulation.record.facts[ESTIMATE]  # recorded after the first epochs, of half a second each
    assert estimate["epochs"] == pytest.approx(simulation.ledger.epochs_spent, rel=0.3)
    assert estimate["seconds"] == pytest.approx(estimate["epochs"] / 2, abs=1)
    assert (estimate["trials"], estimate["most"]) == (40, 40 * 9)


def test_the_estimate_counts_no_more_trials_than_the_space_has(tmp_path: Path) -> None:
    sampler, none = "search.sampler={name: grid, points: 2}", "search.scheduler.name=none"
    simulation = Simulation(spec_of(tmp_path, SPACE, sampler, none, "search.trials=40"), tmp_path / "s", keeping_ranks)
    simulation.run()
    estimate, tried = simulation.record.facts[ESTIMATE], len(simulation.ledger.trials)
    assert tried < 40
    assert (estimate["trials"], estimate["epochs"]) == (tried, simulation.ledger.epochs_spent)


@pytest.mark.parametrize("trials", [0, 1])
def test_few_trials(tmp_path: Path, trials: int) -> None:
    assert expected(spec_of(tmp_path), trials, 4).epochs == 9 * trials


@pytest.mark.parametrize("scheduler", ["none", "asha", "hyperband", "median"])
def test_long_trials_cost_no_more(tmp_path: Path, scheduler: str) -> None:
    """A driver estimates while its workers wait."""
    long = spec_of(tmp_path, SPACE, f"search.scheduler={{name: {scheduler}}}", "training.epochs=1000000")
    began = time.process_time()
    found = expected(long, 200, 4, rounds=1)
    assert time.process_time() - began < 10
    assert found.most == 200 * 1_000_000
    assert found.epochs <= found.most
