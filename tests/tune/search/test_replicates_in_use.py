"""Several seeds per trial: in a worker, a preview, a warm start, earlier records, and a search that really trains."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from search_spaces import Config
from tests.tune.search.commands import command
from tests.tune.search.seeds import NONE, PROMOTION, curve, finished, short, simulation
from tests.tune.search.simulation import Simulation, metrics
from tests.tune.search.worker.attempts import attempt
from tune import load_search
from tune.record.opening import read_search
from tune.record.search_yaml import write_spec
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.preview.expected import expected
from tune.search.warm_start import records, warm_start
from tune.search.worker.messages import Report


def test_a_worker_trains_the_next_seed_from_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    first, second = attempt(tmp_path), attempt(tmp_path)
    second._assignment = replace(second._assignment, seed=1)
    one, two = first.step(), second.step()
    assert one.epochs[0].values != two.epochs[0].values
    assert sorted(path.name for path in (tmp_path / "trial_00000").iterdir()) == ["last-a.pt", "replicate1-a.pt"]
    again = attempt(tmp_path, "b")
    again._assignment = replace(again._assignment, seed=1)
    assert again.step().epochs[0].values == two.epochs[0].values
    assert sorted(path.name for path in (tmp_path / "trial_00000").iterdir()) == ["last-a.pt", "replicate1-b.pt"]


def test_what_a_trial_of_an_earlier_version_says_is_unchanged() -> None:
    trial = TrialRecord(0, {}, Status.COMPLETED, epochs=(metrics(1, 2.0), metrics(2, 1.0)))
    assert (trial.seed, trial.replicates, trial.current) == (0, (), trial.epochs)


@pytest.mark.parametrize("scheduler", [NONE, "search.scheduler.type=stopping", PROMOTION])
def test_the_preview_counts_further_seeds(tmp_path: Path, scheduler: str) -> None:
    """Near what a search takes whose trials keep their order in every seed."""
    spec = short(tmp_path, scheduler, "search.trials=30", "search.sampler.name=random")
    will, one = expected(spec, 30, 1), expected(short(tmp_path, scheduler, "search.seeds=1", "search.trials=30"), 30, 1)
    found = Simulation(spec, tmp_path / "s", lambda trial, config, epoch: same(trial, config, epoch, 0), replicate=same)
    found.run()
    assert will.most == 3 * one.most
    assert will.epochs > 1.1 * one.epochs
    assert will.epochs == pytest.approx(found.ledger.epochs_spent, rel=0.35)


def same(trial: int, config: Config, epoch: int, seed: int) -> Report:
    return curve(trial, config, epoch)


def test_a_warm_start_learns_the_means(tmp_path: Path) -> None:
    found = finished(tmp_path)
    (tmp_path / "other").mkdir()
    write_spec(found.folder, found.ledger.spec, {})
    other = simulation(short(tmp_path), tmp_path / "other")
    rows = warm_start(other.ledger.spec, read_search(found.folder), {}, other.record).rows
    learned = records(json.loads(json.dumps(rows)), "val_loss")
    objective, known = found.record.objective, found.ledger.trials
    assert len(learned) == len(known) == 5
    assert [one.cost(objective) for one in learned] == [known[number].cost(objective) for number in range(5)]


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.timeout(180)
def test_a_real_search_with_two_seeds(tmp_path: Path) -> None:
    text = """
experiment:
  data: {name: digits, train_limit: 200}
  model: {name: mnist_mlr}
  training: {epochs: 2, batch_size: 32, threads: 1}
space:
  training.optimizer.lr: {float: [1e-3, 1e-2], log: true}
search: {trials: 3, concurrent: 1, seeds: 2, resources: {gpu: 0}, sampler: {name: random}, scheduler: {name: none}}
"""
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    command(tmp_path, "search", str(path))
    found = load_search(tmp_path / "out" / "twice")
    best = found.best(1).iloc[0]
    assert best["seeds"] == 2
    assert best["val_loss_std"] > 0
    assert len(pd.read_parquet(found.folder / "epochs.parquet")) == len(found.epochs) + len(found.replicates)
    told = command(tmp_path, "status", "twice")
    assert (
        f"best: trial {best['trial']}, mean of 2 seeds: val_loss {best['val_loss']:.4f} ± {best['val_loss_std']:.4f}"
        in told
    )
    assert "mean of 2 seeds: val_loss" in command(tmp_path, "results", "twice")
    assert json.loads(command(tmp_path, "results", "twice", "--json"))["trials"][0]["seeds"] == 2
    # The same seeds as those that `retrain` uses.
    told = json.loads(command(tmp_path, "retrain", "twice", "--seeds", "2", "--json"))
    runs = [run.epochs["val_loss"].tolist() for run in load_search(found.folder).winners]
    again = found.replicates.groupby("trial")["val_loss"].apply(list)[best["trial"]]
    assert again in runs
    command(tmp_path, "report", "twice")
    page = (found.folder / "report.html").read_text(encoding="utf-8")
    assert "on average over 2 seeds" in page
    assert f"± {best['val_loss_std']:.4f}" in page
