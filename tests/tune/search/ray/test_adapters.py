"""Searches on a real Ray, without training: what Ray does to us, and what we make of it."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import cast
from unittest.mock import create_autospec

import pandas as pd
import pytest
from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tests.tune.search.ray.ray_workers import (
    CrashingWorker,
    HangingWorker,
    SlowWorker,
    SpoilingWorker,
    TabulatedWorker,
    TogetherWorker,
)
from tests.tune.search.simulation import SPACE, Simulation, spec_of
from tune.errors import UserError
from tune.record.exclusive.folder_lock import lock_folder
from tune.record.folder import SearchFolder
from tune.record.observer import Observer
from tune.record.search_status import search_status
from tune.record.status import Status
from tune.search import trial_ends
from tune.search.driver import Driver
from tune.search.ray.adapters import DriverScheduler, DriverSearcher
from tune.search.ray.nodes import NodeImages
from tune.search.ray.resources import trial_resources
from tune.search.ray.trial_worker import NODE_ID, REPORT, TrialWorker
from tune.search.request import Request
from tune.search.runner import run_search
from tune.search.shutdown import Outcome
from tune.search.worker.messages import Report
from tune.spec import SpecError
from tune.spec.search_settings import ResourcesSpec

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray"), pytest.mark.timeout(180)]
ONE_PROCESS = ("search.concurrent=1", "search.resources.gpu=0")
"""Where it does not matter how many: each takes seconds to start."""


def run(tmp_path: Path, worker: type[TrialWorker], *overrides: str, text: str = SPACE, **options: object) -> Outcome:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    request = Request(str(path), tmp_path / "out", tmp_path / "data", overrides=overrides, **options)  # type: ignore[arg-type]
    return run_search(request, Observer(), worker)


def again(tmp_path: Path, worker: type[TrialWorker], *overrides: str, **options: object) -> Outcome:
    request = Request("space", tmp_path / "out", tmp_path / "data", overrides, **options)  # type: ignore[arg-type]
    return run_search(request, Observer(), worker)


def steps(outcome: Outcome) -> list[list[str]]:
    return [line.split() for line in (outcome.folder.path / "steps.log").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A search that ran to its end."""
    return run(tmp_path_factory.mktemp("whole"), TabulatedWorker, "search.resources.gpu=0")


@pytest.fixture
def finished(whole: Outcome, tmp_path: Path) -> SearchFolder:
    """A copy of it below `tmp_path / "out"`."""
    return SearchFolder(shutil.copytree(whole.folder.path, tmp_path / "out" / "space"))


def test_a_search_to_its_end(whole: Outcome) -> None:
    outcome = whole
    assert (outcome.state, outcome.exit_code) == ("finished", 0)
    assert sum(outcome.counts.values()) == outcome.counts["completed"] + outcome.counts["stopped"] == 12
    table = pd.read_parquet(outcome.folder.trials_table)
    epochs = pd.read_parquet(outcome.folder.epochs_table)
    assert len(table) == 12
    assert len(epochs) == table["epochs"].sum() == len(steps(outcome))
    assert not epochs.duplicated(["trial", "epoch"]).any()
    assert len({line[2] for line in steps(outcome)}) <= 2  # processes are used again, and none is given up for another
    shown = search_status(outcome.folder).to_dict()
    assert (shown["status"], shown["search"], shown["trials"]) == ("finished", "space", 12)
    assert shown["best"]["val_loss"] == table["val_loss"].min()


def test_the_process_left_over_goes_to_the_trial_that_has_none(tmp_path: Path) -> None:
    """The older trial's own process is starting: were it to take the one left over, its own would be thrown away."""
    scheduler = DriverScheduler(
        cast("Driver", None), cast("DriverSearcher", None), lambda: PlacementGroupFactory([{"CPU": 1}])
    )
    older, newer = (Trial("__fake", stub=True) for _ in range(2))
    scheduler.on_trial_add(None, older)
    assert scheduler.choose_trial_to_run(None) is older
    scheduler.on_trial_add(None, newer)
    assert scheduler.choose_trial_to_run(None) is newer
    newer.status = Trial.RUNNING
    assert scheduler.choose_trial_to_run(None) is older
    older.status = Trial.RUNNING
    assert scheduler.choose_trial_to_run(None) is None


def test_what_fails_on_a_node_that_may_have_no_images_is_put_back(tmp_path: Path) -> None:
    """A trial that waited for a place was put on a node that joined: no attempt of its own has failed."""
    simulation = Simulation(spec_of(tmp_path), tmp_path / "s")
    searcher = DriverSearcher(simulation.driver, lambda live: True)
    images = create_autospec(NodeImages, instance=True)
    images.has.side_effect = {"good"}.__contains__
    scheduler = DriverScheduler(simulation.driver, searcher, lambda: PlacementGroupFactory([{"CPU": 1}]), images)
    trial = Trial("__fake", stub=True)
    failed = Report(end="failed", reason="no images", node="n7").to_dict()

    def answer(node: str) -> str:
        searcher.suggest(trial.trial_id)
        return scheduler.on_trial_result(None, trial, {REPORT: [failed], NODE_ID: node})

    for _ in range(3):
        assert answer("new") == TrialScheduler.STOP
        assert simulation.record.trial(0).status is Status.WAITING
    assert "attempts" not in simulation.record.trial(0).facts
    assert all("node n7" in line for line in simulation.said if "waiting" in line)
    for _ in range(1 + simulation.driver.ledger.spec.search.failures.retries):
        answer("good")
    assert simulation.record.trial(0).status is Status.FAILED


def test_the_same_search_twice_with_one_worker_is_the_same(tmp_path: Path) -> None:
    one, two = (run(tmp_path, TabulatedWorker, *ONE_PROCESS, name=name) for name in ("one", "two"))
    ours, theirs = (pd.read_parquet(each.folder.trials_table).drop(columns="seconds") for each in (one, two))
    pd.testing.assert_frame_equal(ours, theirs)


def test_half_gpus_are_packed_two_to_a_gpu(tmp_path: Path) -> None:
    """Two GPUs of half a trial each hold four trials at once, each GPU two of them."""
    assert trial_resources(ResourcesSpec(cpu=0.5, gpu=0.5)).slots == 4
    assert trial_resources(ResourcesSpec(cpu=0.5)).gpu == 0.5  # auto
    assert trial_resources(ResourcesSpec(cpu=1, gpu=0.5)).slots == 2
    assert trial_resources(ResourcesSpec(cpu=0.25, gpu=1)).slots == 2
    outcome = run(
        tmp_path, TogetherWorker, "search.resources.cpu=0.5", "search.resources.gpu=0.5", "search.scheduler.name=none"
    )
    assert outcome.state == "finished"
    processes = defaultdict(set)
    for _, _, process, gpu, _ in steps(outcome):
        processes[gpu].add(process)
    assert set(processes) == {"0", "1"}
    assert all(len(found) >= 2 for found in processes.values())


def test_a_trial_given_a_gpu_that_torch_cannot_see_fails_by_name(tmp_path: Path) -> None:
    failures = ("search.failures.retries=0", "search.failures.consecutive=2")
    outcome = run(tmp_path, TrialWorker, "search.concurrent=1", "search.resources.gpu=1", *failures)
    assert (outcome.state, outcome.exit_code) == ("failed", 1)
    assert "the trial was given 1 GPU, but torch" in outcome.reason
    assert outcome.counts["failed"] == 2


def test_a_crashed_worker_loses_no_epoch_and_a_trial_that_always_crashes_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_ends, "MAX_WORKER_DEATHS", 1)
    outcome = run(tmp_path, CrashingWorker, "search.resources.gpu=0", "search.trials=6", "search.scheduler.name=none")
    assert outcome.state == "finished"
    table = pd.read_parquet(outcome.folder.trials_table).set_index("trial")
    assert table["status"].to_dict() == {n: "failed" if n == 4 else "completed" for n in range(6)}
    assert "lost its worker 2 times" in str(table.loc[4, "reason"])
    assert table.loc[2, "epochs"] == 3
    assert Counter(line[0] for line in steps(outcome))["2"] == 3  # the epoch under way at the crash counts as done


def test_a_spoiled_process_trains_nothing_else(tmp_path: Path) -> None:
    """After a CUDA error that later calls would meet again, the trial is tried again in a new process."""
    outcome = run(tmp_path, SpoilingWorker, *ONE_PROCESS, "search.trials=4")
    assert outcome.state == "finished"
    assert outcome.counts["failed"] == 0
    processes = [line[2] for line in steps(outcome)]
    spoiled = next(index for index, line in enumerate(steps(outcome)) if line[:2] == ["1", "2"])
    assert len(set(processes)) == 2
    assert processes[spoiled] not in processes[spoiled + 1 :]


def test_a_hung_trial_is_ended_and_the_search_goes_on(tmp_path: Path) -> None:
    settings = ("search.epoch_timeout=8", "search.trials=5", "search.scheduler.name=none")
    outcome = run(tmp_path, HangingWorker, *ONE_PROCESS, *settings)
    assert outcome.state == "finished"
    table = pd.read_parquet(outcome.folder.trials_table).set_index("trial")
    assert (table.loc[1, "status"], table.loc[1, "reason"]) == ("failed", "hung")
    assert set(table["status"].drop(1)) == {"completed"}


def test_a_time_budget_ends_in_order_and_the_search_can_go_on(tmp_path: Path) -> None:
    settings = ("search.trials=4", "search.scheduler.name=none")
    outcome = run(tmp_path, SlowWorker, *ONE_PROCESS, *settings, time_budget=2.0)
    assert (outcome.state, outcome.exit_code) == ("stopped", 0)
    assert "the time budget of 2 s" in outcome.reason
    before = len(pd.read_parquet(outcome.folder.epochs_table))
    assert search_status(outcome.folder).status == "stopped"
    outcome = again(tmp_path, SlowWorker, "search.time_budget=null", resume=True)
    assert outcome.state == "finished"
    epochs = pd.read_parquet(outcome.folder.epochs_table)
    assert before < len(epochs) == 4 * 9
    assert not epochs.duplicated(["trial", "epoch"]).any()


def test_a_finished_search_is_extended(finished: SearchFolder, tmp_path: Path) -> None:
    before = pd.read_parquet(finished.trials_table)
    assert sum(again(tmp_path, TabulatedWorker, resume=True).counts.values()) == 12  # nothing left to do
    again(tmp_path, TabulatedWorker, "search.trials=5", resume=True)  # fewer than there are
    again(tmp_path, TabulatedWorker, "search.concurrent=1", extend=3)
    after = pd.read_parquet(finished.trials_table)
    assert len(after) == 15
    pd.testing.assert_frame_equal(after.head(12), before)


def test_resources_that_no_node_has_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for kind, amount in (("cpu", 64), ("gpu", 8)):
        with pytest.raises(SpecError) as caught:
            run(tmp_path, TabulatedWorker, f"search.resources.{kind}={amount}")
        assert [problem.field for problem in caught.value.problems] == [f"search.resources.{kind}"]
    assert not (tmp_path / "out").exists()


def test_a_second_driver_is_refused_while_the_first_lives(finished: SearchFolder, tmp_path: Path) -> None:
    with lock_folder(finished):
        assert search_status(finished).status == "running"
        with pytest.raises(UserError, match=r"already being run by another process .*pid"):
            again(tmp_path, TabulatedWorker, resume=True)
    again(tmp_path, TabulatedWorker, resume=True)


@pytest.mark.usefixtures("finished")
def test_a_name_that_exists_is_refused(tmp_path: Path) -> None:
    exists = r"space already exists; use --resume or --extend N to continue it, or another --name"
    with pytest.raises(UserError, match=exists):
        run(tmp_path, TabulatedWorker, "search.resources.gpu=0")
    with pytest.raises(UserError, match=r"there is no search 'other'"):
        run(tmp_path, TabulatedWorker, name="other", resume=True)


@pytest.mark.usefixtures("finished")
def test_resuming_with_another_description_is_refused(tmp_path: Path) -> None:
    smoothed = ("search.resources.gpu=0", "training.label_smoothing=0.1")
    with pytest.raises(SpecError, match=r"training\.label_smoothing: cannot be changed .*0\.0 \(got 0\.1\)"):
        run(tmp_path, TabulatedWorker, *smoothed, resume=True, name="space")
    with pytest.raises(SpecError, match=r"training\.epochs: cannot be changed"):
        again(tmp_path, TabulatedWorker, "training.epochs=3", resume=True)


def test_a_missing_journal_is_refused_never_a_silent_restart(finished: SearchFolder, tmp_path: Path) -> None:
    finished.journal.unlink()
    with pytest.raises(UserError, match=r"study\.journal is missing"):
        again(tmp_path, TabulatedWorker, resume=True)
