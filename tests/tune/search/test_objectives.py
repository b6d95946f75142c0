"""Searches by several objectives, on tabulated curves and under kills, and one that really trains."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest

from search_spaces import Config
from tests.tune.search.commands import command
from tests.tune.search.simulation import Simulation, metrics, noise, spec_of
from tests.tune.search.survival import HOWS, killed_at_every_write
from tune import load_search
from tune.record.opening import read_search
from tune.record.search_yaml import read_spec, write_spec
from tune.record.status import Status
from tune.record.storage.journal import Journal
from tune.search.worker.messages import Report
from tune.spec import SpecError
from tune.spec.metric import METRICS, Objective
from tune.spec.options.samplers import GpSpec, TpeSpec

SPACE = """
experiment:
  data: {name: digits}
  model: {name: mnist_cnn}
  training: {epochs: 9}
space:
  training.optimizer.lr: {float: [1e-4, 1e-1], log: true}
  training.batch_size: {int: [8, 64], step: 8}
search:
  objectives: [{metric: val_accuracy}, {metric: val_loss, mode: min}]
  trials: 12
  sampler: {name: random}
  scheduler: {name: asha, max_t: 9, grace_period: 1, reduction_factor: 3}
  retention: {best: 1}
"""
BOTH = Objective.of([METRICS["val_accuracy"], METRICS["val_loss"]])
PROMOTION = "search.scheduler.type=promotion"


def curve(trial: int, config: Config, epoch: int) -> Report:
    """Accuracy rises as the loss of the same trial does, so that the two are at odds; both get better with epochs."""
    place = noise(sorted(config.items()))
    values = metrics(epoch, 0.2 + place + 0.3 * noise(trial, "loss") + 1 / epoch).values
    one = {**values, "val_accuracy": 0.5 * place + 0.3 * noise(trial, "accuracy") + 0.02 * epoch}
    return Report((type(metrics(1, 1.0))(epoch, one, 0.01, 0.5),), "epochs" if epoch == 9 else None)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
@pytest.mark.parametrize("how", [how if how == "half" else pytest.param(how, marks=pytest.mark.slow) for how in HOWS])
def test_a_kill_at_every_write_changes_nothing(tmp_path: Path, kind: str, how: str) -> None:
    spec = spec_of(tmp_path, SPACE, "search.trials=5", f"search.scheduler.type={kind}", "search.sampler.name=nsga2")
    killed_at_every_write(lambda folder: Simulation(spec, folder, curve, files=True), tmp_path, how)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "qmc", "random"])
def test_conditional_fields_by_every_sampler_that_takes_objectives(tmp_path: Path, sampler: str) -> None:
    """Without a warning of Optuna's: in tests they are errors."""
    field = "  training.optimizer.momentum: {float: [0.1, 0.9], when: {training.optimizer.name: sgd}}\n"
    text = SPACE.replace("search:\n", f"  training.optimizer.name: {{choice: [adam, sgd]}}\n{field}search:\n")
    simulation = Simulation(
        spec_of(tmp_path, text, f"search.sampler.name={sampler}", "search.trials=16"), tmp_path / "s", curve
    )
    simulation.run(workers=2)
    assert len(simulation.ledger.trials) == 16
    assert {trial.status for trial in simulation.ledger.trials.values()} == {Status.COMPLETED, Status.STOPPED}


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_what_no_other_beats_is_not_stopped_at_a_rung(tmp_path: Path, kind: str) -> None:
    """Four trials, each in both objectives better than the next: with one in three to continue, only the best do."""

    def chain(trial: int, config: Config, epoch: int) -> Report:
        worse = (2, 0, 3, 1)[trial]
        one = {**metrics(epoch, 1.0 + worse).values, "val_accuracy": 0.9 - 0.1 * worse}
        return Report((type(metrics(1, 1.0))(epoch, one, 0.01, 0.5),), "epochs" if epoch == 9 else None)

    spec = spec_of(tmp_path, SPACE, "search.trials=4", f"search.scheduler.type={kind}")
    simulation = Simulation(spec, tmp_path / "s", chain)
    simulation.run()
    ends = {number: len(trial.epochs) for number, trial in simulation.ledger.trials.items()}
    assert ends[1] == 9
    assert ends[2] == 1  # the worst of three
    if kind == "promotion":
        assert ends == {0: 1, 1: 9, 2: 1, 3: 1}
    else:
        assert ends[3] > 1  # second of four: one in three, rounded up, are two


def search(tmp_path: Path, *overrides: str, workers: int = 1) -> Simulation:
    spec = spec_of(tmp_path, SPACE, *overrides)
    folder = tmp_path / "out" / "space"
    folder.mkdir(parents=True)
    simulation = Simulation(spec, folder, curve, files=True)
    write_spec(simulation.folder, spec, {})
    simulation.run(workers)
    return simulation


def test_the_front_everywhere(tmp_path: Path) -> None:
    """In the record, on the disk, in tables and in what commands print."""
    simulation = search(tmp_path, workers=2)
    found = read_search(simulation.folder)
    rows = {
        trial.number: (best.values["val_accuracy"], best.values["val_loss"])
        for trial in found.trials
        if (best := trial.best(found.objective)) is not None
    }
    assert len(rows) == 12
    front = {
        n for n, (accuracy, loss) in rows.items()
        if not any(a >= accuracy and b <= loss and (a, b) != (accuracy, loss) for a, b in rows.values())
    }  # fmt: skip
    assert len(front) >= 2
    table = found.table
    assert set(table["trial"].head(len(front))) == front == set(found.front)
    assert list(table["val_accuracy"].head(len(front))) == sorted(table["val_accuracy"].head(len(front)), reverse=True)
    assert set(table.loc[table["front"] == 1, "trial"]) == front
    kept = {int(path.parent.name.removeprefix("trial_")) for path in simulation.folder.path.glob("trial_*/best.*")}
    assert kept == front

    storage = optuna.storages.JournalStorage(Journal(simulation.folder.journal))
    study = optuna.load_study(study_name=None, storage=storage)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert {trial.number for trial in study.best_trials} == front

    told = json.loads(command(tmp_path, "status", "space", "--json"))
    assert {row["trial"] for row in told["front"]} == front
    assert 0 < told["hypervolume"] <= 1
    assert f"front: {len(front)} trial" in command(tmp_path, "status", "space")
    assert "front of val_accuracy and val_loss" in command(tmp_path, "results", "space")
    assert next(row["front"] for row in json.loads(command(tmp_path, "results", "space", "--json"))["trials"]) == 1
    assert (tmp_path / "out" / "space" / "trials.parquet").is_file()
    loaded = load_search(simulation.folder.path)
    assert set(loaded.front["trial"]) == front
    assert loaded.hypervolume == told["hypervolume"]


def test_a_fact_of_the_model_is_an_objective(tmp_path: Path) -> None:
    """All have 10 parameters, so that the most accurate are the front; without the fact nothing can be compared."""
    objectives = "search.objectives=[{metric: parameters}, {metric: val_accuracy}]"
    found = read_search(search(tmp_path, objectives).folder)
    (best,) = found.front
    assert best == found.table.sort_values("val_accuracy")["trial"].iloc[-1]
    assert found.objective.metric.name == "val_accuracy"


def test_a_resumed_search_is_the_same_search(tmp_path: Path) -> None:
    simulation = search(tmp_path, "search.trials=3")
    assert read_spec(simulation.folder).to_tree() == simulation.ledger.spec.to_tree()
    assert "metric" not in simulation.ledger.spec.to_tree()["search"]


def test_a_file_with_a_metric_and_objectives_is_refused(tmp_path: Path) -> None:
    both = SPACE.replace("search:\n", "search:\n  metric: val_loss\n")
    with pytest.raises(SpecError, match="search: metric cannot be set together with objectives; remove one of them"):
        spec_of(tmp_path, both)


@pytest.mark.parametrize(
    ("override", "field", "part"),
    [
        ("search.objectives=[{metric: parameters}]", "search.objectives", "must include a metric that is measured"),
        ("search.objectives=[{metric: val_loss}, {metric: val_loss}]", "search.objectives", "once"),
        ("search.objectives=[{metric: val_kl}, {metric: parameters}]", "search.objectives", "val_accuracy"),
        ("search.sampler.name=gp", "search.sampler.name", "use tpe, nsga2 or random"),
        ("search.scheduler={name: median}", "search.scheduler.name", "use asha, hyperband or none"),
        ("search.stop.plateau=3", "search.stop.plateau", "one objective"),
        ("search.objectives=[{metric: val_loss, mode: max}]", "search.objectives.0.mode", "must be min for val_loss"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, override: str, field: str, part: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, SPACE, override)
    assert [problem.field for problem in caught.value.problems] == [field]
    assert part in str(caught.value)


def test_the_default_sampler_learns_from_all_objectives(tmp_path: Path) -> None:
    unnamed = SPACE.replace("  sampler: {name: random}\n", "")
    assert spec_of(tmp_path, unnamed).search.sampler == TpeSpec()
    assert spec_of(tmp_path, unnamed, "search.sampler.startup=3").search.sampler == TpeSpec(startup=3)
    assert spec_of(tmp_path, unnamed, "search.objectives=[{metric: val_loss}]").search.sampler == GpSpec()


def test_one_objective_is_a_metric(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, SPACE, "search.objectives=[{metric: val_accuracy}]", "search.sampler.name=gp")
    assert spec.search.objective == Objective(METRICS["val_accuracy"])


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.timeout(180)
def test_a_real_search_and_its_front_trained_again(tmp_path: Path) -> None:
    text = """
experiment:
  data: {name: digits, train_limit: 300}
  model: {name: mnist_cnn}
  training: {epochs: 3, batch_size: 32, threads: 1}
space:
  model.hidden_dims: {choice: [[4], [16], [64], [128, 64]]}
  training.optimizer.lr: {float: [1e-3, 1e-2], log: true}
search:
  objectives: [{metric: val_accuracy}, {metric: parameters}]
  trials: 6
  concurrent: 1
  resources: {gpu: 0}
  sampler: {name: tpe, startup: 3}
  scheduler: {name: asha, type: promotion, max_t: 3, grace_period: 1, reduction_factor: 2}
"""
    path = tmp_path / "sizes.yaml"
    path.write_text(text)
    command(tmp_path, "search", str(path))
    found = load_search(tmp_path / "out" / "sizes")
    front: Any = found.front
    assert front["parameters"].is_monotonic_decreasing
    assert front["val_accuracy"].is_monotonic_decreasing
    assert found.trials["parameters"].min() in set(front["parameters"])
    assert front["checkpoint"].notna().all()
    told = json.loads(command(tmp_path, "retrain", "sizes", "--front", "--seeds", "1", "--json"))
    assert [row["trial"] for row in told["trials"]] == list(front["trial"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        command(tmp_path, "report", "sizes")
    assert "Trade-offs" in (tmp_path / "out" / "sizes" / "report.html").read_text(encoding="utf-8")
    assert all(trial.status is not Status.FAILED for trial in read_search(found._search.folder).trials)
