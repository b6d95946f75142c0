"""The driver's decisions on tabulated curves, without Ray: what ASHA stops, what the study holds, what the table says."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from search_spaces import Config, config_key
from tests.tune.search.simulation import (
    FIELDS,
    LOSS,
    SPACE,
    Simulation,
    ends_at,
    falling,
    metrics,
    noise,
    spec_of,
)
from tune.record.status import Status
from tune.record.storage.journal import Journal
from tune.record.tables import epochs_table, trials_table
from tune.search.driver import NoTrial
from tune.search.trial_ends import MAX_WORKER_DEATHS
from tune.search.worker.messages import Report


def study_of(folder: Path) -> optuna.Study:
    storage = JournalStorage(Journal(folder / "study.journal"))
    return optuna.load_study(study_name=None, storage=storage)


def test_asha_stops_by_the_formula(tmp_path: Path) -> None:
    """With reduction factor 3, a trial goes on past a rung only if it is in the best third of those that stood there.

    Trials run one after the other, so each is judged against all before it; the first two of a rung pass unjudged.
    """
    losses = [5.0, 4.0, 6.0, 3.0, 3.5, 1.0, 2.0]

    def curve(trial: int, config: Config, epoch: int) -> Report:
        return Report((metrics(epoch, losses[trial] - 0.01 * epoch),), "epochs" if epoch == 9 else None)

    spec = spec_of(tmp_path, SPACE, "search.trials=7")
    simulation = Simulation(spec, tmp_path / "s", curve)
    simulation.run()
    reached = {number: len(trial.epochs) for number, trial in simulation.driver.ledger.trials.items()}
    # Rung 1, value against the cut-off: 5 and 4 pass unjudged; 6 (third; best third of {5, 4, 6}: no) stops;
    # 3 passes; 3.5 stops (cut-off of {5, 4, 6, 3} minus a hundredth: 4/3 of the way from 3 to 4 and so on, at most 4).
    assert reached[0] == reached[1] == 9
    assert reached[2] == 1
    assert reached[3] == 9
    assert reached[5] == 9
    statuses = {number: trial.status for number, trial in simulation.driver.ledger.trials.items()}
    assert statuses[2] is Status.STOPPED
    assert statuses[5] is Status.COMPLETED
    assert "asha: 5.99 at epoch 1" in simulation.driver.ledger.trials[2].reason


@pytest.mark.parametrize("workers", [1, 3])
def test_the_study_holds_every_trial_once_and_none_running(tmp_path: Path, workers: int) -> None:
    ends = {2: (3, "diverged"), 4: (2, "out_of_memory"), 6: (1, "infeasible"), 7: (2, "failed")}
    simulation = Simulation(spec_of(tmp_path), tmp_path / "s", ends_at(ends))
    simulation.run(workers)
    trials = study_of(tmp_path / "s").get_trials(deepcopy=False)
    assert len(trials) == 13  # 12, and one more for the infeasible one
    assert not [trial for trial in trials if trial.state in (TrialState.RUNNING, TrialState.WAITING)]
    configs = [config_key(trial.user_attrs["config"]) for trial in trials]
    assert len(set(configs)) == 13
    for trial in trials:
        epochs = sorted(int(key.partition(":")[2]) for key in trial.user_attrs if key.startswith("epoch:"))
        assert epochs == list(range(1, len(epochs) + 1))
        assert sorted(trial.intermediate_values) == epochs


def test_what_each_end_is_told_as(tmp_path: Path) -> None:
    ends = {
        2: (3, "diverged"),
        4: (2, "out_of_memory"),
        5: (1, "infeasible"),
        6: (2, "failed"),
        7: (4, "early_stopping"),
    }
    simulation = Simulation(spec_of(tmp_path, SPACE, "search.scheduler.name=none"), tmp_path / "s", ends_at(ends))
    simulation.run()
    trials = {trial.number: trial for trial in study_of(tmp_path / "s").get_trials(deepcopy=False)}
    states = {number: trials[number].state for number in ends}
    assert states == {
        2: TrialState.PRUNED,
        4: TrialState.PRUNED,
        5: TrialState.PRUNED,
        6: TrialState.FAIL,
        7: TrialState.COMPLETE,
    }
    for number, name in ((2, "diverged"), (4, "out_of_memory"), (5, "infeasible")):
        assert trials[number].system_attrs[f"constraints:{name}"] == 1.0
    first = trials[0]
    assert first.value == min(first.intermediate_values.values())
    assert study_of(tmp_path / "s").best_trial.number not in (2, 4, 5, 6)


def test_a_bug_is_retried_then_failed_with_its_last_lines(tmp_path: Path) -> None:
    attempts: Counter[int] = Counter()

    def curve(trial: int, config: Config, epoch: int) -> Report:
        if trial == 1 and epoch == 3:
            attempts[trial] += 1
            return Report((), "failed", "ValueError: boom", "Traceback\nValueError: boom")
        return falling(trial, config, epoch)

    simulation = Simulation(
        spec_of(tmp_path, SPACE, "search.failures.retries=2", "search.scheduler.name=none"), tmp_path / "s", curve
    )
    simulation.run()
    trial = simulation.record.trial(1)
    assert attempts[1] == 3
    assert trial.status is Status.FAILED
    assert trial.reason == "ValueError: boom"
    assert trial.facts["error"] == "Traceback\nValueError: boom"
    assert len(trial.epochs) == 2  # what it had is kept
    assert Counter(t.status for t in simulation.record.trials())[Status.COMPLETED] == 11


def test_failures_from_the_start_end_the_search_with_the_error(tmp_path: Path) -> None:
    def curve(trial: int, config: Config, epoch: int) -> Report:
        return Report((), "failed", "KeyError: 'x'", "...")

    simulation = Simulation(spec_of(tmp_path, SPACE, "search.failures.consecutive=3"), tmp_path / "s", curve)
    simulation.run()
    assert len(simulation.driver.ledger.trials) == 3
    assert simulation.driver.halt == "failed: the first 3 trials failed: KeyError: 'x'"


def test_a_lost_worker_puts_its_trial_back_a_few_times(tmp_path: Path) -> None:
    simulation = Simulation(spec_of(tmp_path), tmp_path / "s")
    driver = simulation.driver
    for attempt in range(MAX_WORKER_DEATHS + 1):
        assignment = driver.next()
        assert not isinstance(assignment, NoTrial)
        assert assignment.trial == 0, attempt
        driver.worker_died(0, "ActorDiedError: node gone")
    assert driver.ledger.trials[0].status is Status.FAILED
    assert "lost its worker 4 times" in driver.ledger.trials[0].reason
    assert driver.next().trial == 1  # type: ignore[union-attr]
    driver.worker_died(1, "OutOfMemoryError: node ran out", out_of_memory=True)
    assert driver.ledger.trials[1].status is Status.OUT_OF_MEMORY


def test_a_trial_without_an_epoch_for_too_long_hung(tmp_path: Path) -> None:
    simulation = Simulation(spec_of(tmp_path, SPACE, "search.epoch_timeout=10"), tmp_path / "s")
    now = itertools.count(0, 4)
    driver = simulation.driver
    driver.ledger.clock = lambda: float(next(now))
    assert driver.next().trial == 0  # type: ignore[union-attr]
    assert [driver.poll() for _ in range(10)] == [[]] * 10  # no node has taken it yet
    driver.ledger.heartbeat(0)
    assert driver.poll() == []
    while not (hung := driver.poll()):
        pass
    assert hung == [0]
    assert (driver.ledger.trials[0].status, driver.ledger.trials[0].reason) == (Status.FAILED, "hung")
    assert driver.report(0, falling(0, {"training.optimizer.lr": 0.1}, 1))  # too late: over


def test_a_small_space_is_searched_through_and_said_to_be_exhausted(tmp_path: Path) -> None:
    text = SPACE.replace("{float: [1e-4, 1e-1], log: true}", "{float: [0.1, 0.3], step: 0.1}").replace(
        "[8, 64]", "[8, 24]"
    )
    simulation = Simulation(spec_of(tmp_path, text, "search.trials=50"), tmp_path / "s")
    simulation.run(2)
    assert len(simulation.driver.ledger.trials) == 3 * 3
    assert len({config_key(trial.config) for trial in simulation.driver.ledger.trials.values()}) == 9
    assert simulation.driver.exhausted
    assert any("the space is exhausted" in line and "9 trials" in line for line in simulation.said)


def test_idle_fields_do_not_make_a_configuration_new(tmp_path: Path) -> None:
    text = SPACE.replace(
        "  training.batch_size: {int: [8, 64], step: 8}\n",
        "  training.optimizer.name: {choice: [adam, sgd]}\n"
        "  training.optimizer.momentum: {choice: [0.8, 0.9], when: {training.optimizer.name: sgd}}\n",
    ).replace("{float: [1e-4, 1e-1], log: true}", "{choice: [0.01]}")
    simulation = Simulation(spec_of(tmp_path, text, "search.trials=50"), tmp_path / "s")
    simulation.run()
    assert len(simulation.driver.ledger.trials) == 3  # adam; sgd with either momentum


def test_named_configurations_come_first(tmp_path: Path) -> None:
    text = (
        SPACE
        + "first:\n  - {training.optimizer.lr: 0.01, training.batch_size: 16}\n  - {training.optimizer.lr: 0.02, training.batch_size: 8}\n"
    )
    simulation = Simulation(spec_of(tmp_path, text), tmp_path / "s")
    simulation.run()
    trials = simulation.driver.ledger.trials
    assert trials[0].config == {"training.optimizer.lr": 0.01, "training.batch_size": 16}
    assert trials[1].config == {"training.optimizer.lr": 0.02, "training.batch_size": 8}
    assert len(trials) == 12


def test_the_tables(tmp_path: Path) -> None:
    ends = {2: (3, "diverged"), 5: (2, "failed")}
    simulation = Simulation(spec_of(tmp_path, SPACE, "search.scheduler.name=none"), tmp_path / "s", ends_at(ends))
    simulation.run()
    trials = simulation.record.trials()
    table = trials_table(trials, FIELDS, LOSS, simulation.folder)
    assert len(table) == 12
    assert list(table.columns) == [
        *(
            [
                "trial",
                "status",
                "reason",
                "best_epoch",
                "val_loss",
                "val_accuracy",
                "train_loss",
                "train_accuracy",
                "epochs",
                "seconds",
                "parameters",
            ]
        ),
        *(
            [
                "mult_adds",
                "efficiency",
                "checkpoint",
                "proposed",
                "node",
                "gpu",
                "config.training.optimizer.lr",
                "config.training.batch_size",
            ]
        ),
    ]
    assert table["trial"].tolist() == list(range(12))
    diverged = table.loc[2]
    assert (diverged["status"], diverged["reason"], diverged["epochs"]) == ("diverged", "loss is NaN", 3)
    assert diverged["best_epoch"] == 2
    row = table.loc[0]
    assert row["val_loss"] == min(epoch.values["val_loss"] for epoch in trials[0].epochs)
    assert row["efficiency"] == pytest.approx(100 * row["val_accuracy"] / (10 / 1000))
    epochs = epochs_table(trials)
    assert list(epochs.columns) == [
        "trial",
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "lr",
        "seconds",
    ]
    assert len(epochs) == table["epochs"].sum()
    assert not epochs.duplicated(["trial", "epoch"]).any()


def test_retention_keeps_the_best_k_and_the_live(tmp_path: Path) -> None:
    """At every report there are at most K best checkpoints, and one per live trial."""
    spec = spec_of(tmp_path, SPACE, "search.trials=20")
    simulation = Simulation(spec, tmp_path / "s", files=True)
    seen = []
    enter = simulation.driver._enter

    def checked(number: int, report: Report) -> bool:
        over = enter(number, report)
        seen.append(len(list((tmp_path / "s").glob("trial_*/*"))))
        assert seen[-1] <= 3 + 2
        return over

    simulation.driver._enter = checked  # type: ignore[method-assign]
    simulation.run(2)
    assert len(seen) > 30
    kept = {path.parent.name for path in (tmp_path / "s").glob("trial_*/best.safetensors")}
    metric = {t.number: t.best(LOSS) for t in simulation.record.trials()}
    ranking = sorted((best.values["val_loss"], number) for number, best in metric.items() if best)
    assert kept == {f"trial_{number:05d}" for _, number in ranking[:3]}
    assert len(list((tmp_path / "s").glob("trial_*"))) == 3


def test_noise_is_noise() -> None:
    """The curves' noise covers the unit interval: else the tests above would test little."""
    values = [noise(index) for index in range(1000)]
    assert 0 <= min(values) < 0.01
    assert 0.99 < max(values) < 1


def test_a_full_disk_pauses_the_search_then_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Report(blocked="the disk of /s/trial_00000 is full")
    simulation = Simulation(spec_of(tmp_path), tmp_path / "s")
    driver = simulation.driver
    config = driver.next().config  # type: ignore[union-attr]
    assert not driver.report(0, full)
    assert not driver.report(0, full)
    assert not driver.report(0, falling(0, config, 1))
    told = [line for line in simulation.said if "full" in line or "again" in line]
    assert len(told) == 2
    assert "the disk of /s/trial_00000 is full: paused for up to 600 s" in told[0]
    assert "can be written again" in told[1]
    assert not driver.halt
    monkeypatch.setattr("tune.record.disk.PATIENCE", 0.0)
    again = Simulation(spec_of(tmp_path), tmp_path / "again")
    again.driver.next()
    again.driver.report(0, full)
    assert again.driver.halt.startswith("failed: the disk of /s/trial_00000 is full, and stayed so")
