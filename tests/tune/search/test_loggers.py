"""Loggers, read back with the tools' own readers: complete, without repetition, and no burden to a search."""

from __future__ import annotations

import math
import os
import threading
from datetime import datetime
from pathlib import Path

import pytest

from search_spaces import Config
from tests.tune.runs.folders import curve, search_folder
from tests.tune.search.simulation import KilledError, Simulation, falling, spec_of
from tune.errors import UserError
from tune.record.folder import SearchFolder
from tune.record.observer import Observers
from tune.record.opening import Search, read_search
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.ledger import Ledger
from tune.search.loggers import LOGGERS, Logger, find_logger
from tune.search.loggers.observer import Logs, Writer
from tune.search.worker.messages import Report
from tune.spec.metric import METRICS, EpochMetrics, Objective

LOSS = Objective(METRICS["val_loss"])


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """Five trials, of which four have ended and one waits."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return read_search(search_folder(tmp_path / "a digits é"))


def write_all(search: Search, name: str, output: Path | None = None) -> Logger:
    logger = LOGGERS[name].make(search.folder, LOSS, output)
    for trial in search.trials:
        if trial.epochs:
            logger.write(trial)
    logger.close()
    return logger


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads of a trial."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_reads_every_epoch_once(search: Search) -> None:
    for _ in range(2):
        logger = write_all(search, "tensorboard")
    root = search.folder.path / "tensorboard"
    assert sorted(path.name for path in root.iterdir()) == [f"trial_0000{n}" for n in range(4)]
    found = scalars(root / "trial_00002")
    assert dict(found["val_loss"]) == pytest.approx({1: 0.5, 2: 0.3, 3: 0.4})
    assert [len(found[tag]) for tag in ("val_loss", "lr")] == [3, 3]
    assert dict(found["best/val_loss"]) == pytest.approx({2: 0.3})
    assert set(found) == {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds", "best/val_loss"}
    assert math.isnan(scalars(root / "trial_00003")["val_loss"][1][1])
    assert logger.complete(2)
    assert not logger.complete(4)


def test_tensorboard_has_the_fields_of_each_trial(search: Search) -> None:
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.plugins.hparams import metadata

    write_all(search, "tensorboard")
    events = EventMultiplexer().AddRunsFromDirectory(str(search.folder.path / "tensorboard")).Reload()
    content = events.SummaryMetadata("trial_00001", metadata.SESSION_START_INFO_TAG).plugin_data.content
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    assert values["model.hidden_dim"].number_value == 16
    assert values["training.optimizer.lr"].number_value == 0.002
    text = events.Tensors("trial_00001", "outcome/text_summary")[0].tensor_proto.string_val[0]
    assert text == b"stopped: asha"


def test_mlflow_reads_every_trial_as_a_run(search: Search) -> None:
    from mlflow import MlflowClient

    for _ in range(2):
        place = write_all(search, "mlflow").place
    client = MlflowClient(place)
    experiment = client.get_experiment_by_name("a digits é")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == [f"trial {n}" for n in range(4)]
    best = runs["trial 2"]
    assert best.data.params == {"model.hidden_dim": "12", "training.optimizer.lr": "0.01"}
    history = client.get_metric_history(best.info.run_id, "val_loss")
    assert sorted((one.step, one.value) for one in history) == [(1, 0.5), (2, 0.3), (3, 0.4)]
    assert best.data.metrics["best_val_loss"] == 0.3
    assert (runs["trial 1"].data.tags["status"], runs["trial 1"].data.tags["reason"]) == ("stopped", "asha")
    assert {name: run.info.status for name, run in runs.items()} == {
        "trial 0": "FINISHED", "trial 1": "KILLED", "trial 2": "FINISHED", "trial 3": "FAILED",
    }  # fmt: skip
    # A trial that another process left half written is completed, not repeated.
    trial = TrialRecord(9, {"training.optimizer.lr": 0.1}, Status.RUNNING, epochs=tuple(curve([0.5, 0.4])))
    LOGGERS["mlflow"].make(search.folder, LOSS, None).write(trial)
    grown = TrialRecord(9, trial.config, Status.COMPLETED, "", tuple(curve([0.5, 0.4, 0.3])))
    LOGGERS["mlflow"].make(search.folder, LOSS, None).write(grown)
    (run,) = client.search_runs([experiment.experiment_id], "tags.`imagetune.trial` = '9'")
    history = client.get_metric_history(run.info.run_id, "val_loss")
    assert sorted((one.step, one.value) for one in history) == [(1, 0.5), (2, 0.4), (3, 0.3)]
    assert run.info.status == "FINISHED"
    # Another search of this name in the same store is not mixed with it.
    elsewhere = SearchFolder(search.folder.path.parent / "elsewhere" / search.folder.name)
    with pytest.raises(UserError, match="has an experiment 'a digits é', made for"):
        LOGGERS["mlflow"].make(elsewhere, LOSS, search.folder.path)


@pytest.mark.parametrize("own", [True, False])
def test_only_a_store_of_our_own_does_not_wait_for_the_disk(
    search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    from mlflow import MlflowClient

    if not own:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/theirs.db")
    place = LOGGERS["mlflow"].make(search.folder, LOSS, None).place
    with MlflowClient(place)._tracking_client.store.engine.connect() as connection:
        assert (connection.exec_driver_sql("PRAGMA synchronous").scalar() == 0) == own


def test_mlflow_reports_its_use_to_nobody() -> None:
    import tune.search.loggers.mlflow  # noqa: F401

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_epochs_end_when_the_record_says() -> None:
    ended = datetime(2024, 5, 1, 12, 0, 10)
    trial = TrialRecord(0, {}, Status.COMPLETED, epochs=tuple(curve([1, 1, 1])), ended_at=ended)
    assert [ended.timestamp() - when for when in trial.epoch_ends] == [1.0, 0.5, 0.0]
    trial = TrialRecord(0, {}, Status.WAITING, epochs=tuple(curve([1, 1])), started=ended)
    assert [when - ended.timestamp() for when in trial.epoch_ends] == [0.5, 1.0]
    assert TrialRecord(0, {}, Status.WAITING).epoch_ends == []


# -- in a running search


def test_a_search_that_is_killed_and_resumed_is_written_once(tmp_path: Path) -> None:
    """Killed after every tenth of its epochs, before the latest of them have reached the logger."""
    spec = spec_of(tmp_path)
    folder, checkpoints, left = SearchFolder(tmp_path / "search"), dict[int, int](), 0

    def dying(trial: int, config: Config, epoch: int) -> Report:
        nonlocal left
        left -= epoch > checkpoints.get(trial, 0)  # what a resumed worker repeats does not count
        if left < 0:
            raise KilledError
        return falling(trial, config, epoch)

    while True:
        writer = Writer("tensorboard", lambda: LOGGERS["tensorboard"].make(folder, LOSS, None))
        writer.start()
        logs, left = Logs([writer], lambda text: None), 10
        ticking = Ticking(logs)
        made = Simulation(spec, folder.path, dying, observer=ticking)
        ticking.ledger = made.ledger
        try:
            made.run(2, checkpoints)
            logs.over(made.ledger)
            break
        except KilledError:
            made.record.close()
        finally:
            logs.close()
    for number, trial in made.ledger.trials.items():
        assert trial.status.ended
        found = scalars(folder.path / "tensorboard" / f"trial_{number:05d}")
        expected = [(one.epoch, pytest.approx(one.values["val_loss"])) for one in trial.epochs]
        assert [list(one) for one in found["val_loss"]] == [list(one) for one in expected]
    assert len(made.ledger.trials) == 12


class Ticking(Observers):
    """Passes on what happens and ticks at once."""

    ledger: Ledger

    def epoch(self, trial: int | None, metrics: EpochMetrics) -> None:
        super().epoch(trial, metrics)
        self.tick(self.ledger)


class Fake:
    """Remembers what it is given."""

    place = "nowhere"

    def __init__(self, broken: bool = False, slow: threading.Event | None = None) -> None:
        self.written: dict[int, list[int]] = {}
        self.broken, self.slow = broken, slow

    def complete(self, number: int) -> bool:
        return number == 1

    def write(self, trial: TrialRecord) -> None:
        if self.slow is not None:
            self.slow.wait(10)
        if self.broken:
            raise ConnectionError("no route\nto the server")
        self.written.setdefault(trial.number, []).append(len(trial.epochs))

    def close(self) -> None:
        pass


class FakeLedger:
    """What `Logs` needs of one."""

    def __init__(self, trials: dict[int, TrialRecord]) -> None:
        self.trials = trials


def trials(*lengths: int) -> dict[int, TrialRecord]:
    return {
        n: TrialRecord(n, {}, Status.RUNNING if length else Status.WAITING, epochs=tuple(curve([0.5] * length)))
        for n, length in enumerate(lengths)
    }


@pytest.fixture
def said() -> list[str]:
    return []


def logs_of(fake: Fake, said: list[str]) -> Logs:
    writer = Writer("fake", lambda: fake)
    writer.start()
    return Logs([writer], said.append)


def test_what_changed_is_handed_over_and_what_is_complete_is_not_written_again(said: list[str]) -> None:
    fake, ledger = Fake(), FakeLedger(trials(2, 3, 0))
    logs = logs_of(fake, said)
    logs.tick(ledger)  # type: ignore[arg-type]
    ledger.trials[2] = trials(0, 0, 1)[2]
    logs.epoch(2, ledger.trials[2].epochs[0])
    logs.over(ledger)  # type: ignore[arg-type]
    logs.close()
    assert {number: found[-1] for number, found in fake.written.items()} == {0: 2, 2: 1}
    assert said == []


def test_a_broken_logger_is_told_once_and_then_left_alone(said: list[str]) -> None:
    logs = logs_of(Fake(broken=True), said)
    for _ in range(3):
        logs.tick(FakeLedger(trials(1, 1)))  # type: ignore[arg-type]
    logs.close()
    logs.close()
    assert said == ["logging to fake has stopped, while the search continues: ConnectionError: no route"]


def test_a_slow_logger_is_not_waited_for(said: list[str]) -> None:
    let_go = threading.Event()
    logs = logs_of(Fake(slow=let_go), said)
    logs.tick(FakeLedger(trials(1)))  # type: ignore[arg-type]
    logs.patience = 0.1
    logs.close()
    let_go.set()
    assert said == ["fake has not received everything; imagetune log --to fake writes the rest"]


def test_a_package_that_is_missing_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune.search.loggers.find_spec", lambda name: None)
    for name in LOGGERS:
        with pytest.raises(
            UserError, match=rf"search.loggers: {name} is not installed; run: pip install 'imagetune\[{name}\]'"
        ):
            find_logger(name, "search.loggers", tmp_path)
