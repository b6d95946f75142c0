"""What a killed driver and its workers leave behind, met one by one and without Ray."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import torch
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError

from tests.tune.search.simulation import LOSS, Simulation, falling, metrics, spec_of
from tests.tune.search.worker.attempts import attempt
from tune.record.folder import SearchFolder
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.search.driver import NoTrial
from tune.search.ray.patch import WorkerDiedError, known_to_tune
from tune.search.request import Request, resolve
from tune.search.retention import Retention
from tune.search.schedulers.verdict import CONTINUE, Verdict
from tune.search.shutdown import finish
from tune.search.worker.messages import Report
from tune.spec.search_settings import RetentionSpec
from tune.training import load_weights, save

ROOT = Path(__file__).parents[3]


def checkpoint(path: Path, epochs: int) -> None:
    path.parent.mkdir(exist_ok=True)
    history = [metrics(epoch, 1 / epoch).to_dict() for epoch in range(1, epochs + 1)]
    save(path, {"history": history, "best_weights": {"w": torch.full((1,), float(epochs))}})


def ended(epochs: int) -> TrialRecord:
    past = tuple(metrics(epoch, 1 / epoch) for epoch in range(1, epochs + 1))
    return TrialRecord(0, {}, Status.COMPLETED, epochs=past)


def test_a_kept_trial_takes_its_weights_from_the_furthest_checkpoint(tmp_path: Path) -> None:
    """A stale worker's shorter one lies beside it, before and after it by name."""
    folder = SearchFolder(tmp_path)
    for name, epochs in (("last-a.pt", 2), ("last-b.pt", 4), ("last-c.pt", 3)):
        checkpoint(folder.trial(0) / name, epochs)
    Retention(folder, RetentionSpec(best=3), LOSS).restore([ended(4)])
    weights, facts = load_weights(folder.best(0))
    assert (weights["w"].item(), facts["epoch"]) == (4.0, "4")
    assert [path.name for path in folder.trial(0).iterdir()] == ["best.safetensors"]


def test_a_better_epoch_that_was_never_recorded_does_not_lend_its_weights(tmp_path: Path) -> None:
    """A stale worker has trained on after the trial was stopped."""
    folder = SearchFolder(tmp_path)
    for name, epochs in (("last-stale.pt", 6), ("last-live.pt", 4)):
        checkpoint(folder.trial(0) / name, epochs)
    Retention(folder, RetentionSpec(best=3), LOSS).ended(ended(4))
    weights, facts = load_weights(folder.best(0))
    assert (weights["w"].item(), facts["epoch"]) == (4.0, "4")
    assert [path.name for path in folder.trial(0).iterdir()] == ["best.safetensors"]


def test_what_a_stale_worker_writes_into_ended_trials_is_gone_at_the_end_of_a_search(tmp_path: Path) -> None:
    simulation = Simulation(spec_of(tmp_path), tmp_path / "s")
    folder = simulation.driver.ledger.folder
    first, second = simulation.driver.next(), simulation.driver.next()
    assert not isinstance(first, NoTrial)
    assert not isinstance(second, NoTrial)
    simulation.driver.stop_trial(0, "by hand")
    for number in (0, 1):
        folder.trial(number).mkdir(parents=True, exist_ok=True)
        checkpoint(folder.trial(number) / "last-stale.pt", 2)
    simulation.driver.stop("the target is reached")
    finish(simulation.driver)
    assert [path.parent.name for path in folder.path.glob("trial_*/*.pt")] == ["trial_00001"]  # it may be resumed


def test_weights_of_an_earlier_epoch_are_never_kept_as_the_best(tmp_path: Path) -> None:
    """Only a stale worker's checkpoint is there, and it ends before the best epoch."""
    folder = SearchFolder(tmp_path)
    checkpoint(folder.trial(0) / "last-a.pt", 2)
    Retention(folder, RetentionSpec(best=3), LOSS).restore([ended(4)])
    assert list(folder.trial(0).iterdir()) == []


def test_what_killed_processes_left_half_written_is_swept(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path)
    checkpoint(folder.trial(0) / "last-a.pt", 4)
    left = [
        folder.trial(0) / ".0123456789ab.partial",
        tmp_path / ".123456789abc.partial",
        folder.requests / ".23456789abcd.partial",
    ]
    folder.requests.mkdir()
    for path in left:
        path.write_bytes(b"half")
    for path in left[1:]:
        os.utime(path, (1, 1))
    Retention(folder, RetentionSpec(best=3), LOSS).restore([ended(4)])
    assert not any(path.exists() for path in left)


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    """A retraining of a winner, and a table that `results` is writing."""
    folder = SearchFolder(tmp_path)
    writing = [folder.winners / "trial_00000-seed_0" / ".0123456789ab.partial", tmp_path / ".123456789abc.partial"]
    writing += [tmp_path / ".notes.tmp", tmp_path / "mine" / "file.partial"]  # the user's own
    for path in writing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    checkpoint(folder.trial(0) / "last-a.pt", 4)
    Retention(folder, RetentionSpec(best=3), LOSS).restore([ended(4)])
    assert all(path.exists() for path in writing)


def test_a_worker_whose_checkpoint_was_claimed_writes_no_more(tmp_path: Path) -> None:
    stale = attempt(tmp_path, "stale")
    stale.step()
    attempt(tmp_path, "live").step()  # claims it
    report = stale.step()
    assert report.end == "failed"
    assert "taken over" in report.reason
    assert [path.name for path in (tmp_path / "trial_00000").iterdir()] == ["last-live.pt"]


def test_a_trial_that_trains_old_epochs_again_is_judged_only_where_it_stood(tmp_path: Path) -> None:
    """Its checkpoint is gone: nothing is recorded twice, and ASHA waits until it has caught up."""
    spec = spec_of(tmp_path)
    simulation = Simulation(spec, tmp_path / "s")
    assignment = simulation.driver.next()
    assert not isinstance(assignment, NoTrial)
    for epoch in (1, 2, 3):
        simulation.driver.report(0, falling(0, assignment.config, epoch))
    resumed = Simulation(spec, tmp_path / "s")
    judged: list[int] = []

    def judge(number: int, epoch: int, value: float, others: tuple[float, ...] = ()) -> Verdict:
        judged.append(epoch)
        return CONTINUE

    resumed.driver.ledger.scheduler.judge = judge  # type: ignore[method-assign]
    resumed.driver.next()
    for epoch in (1, 2):
        assert not resumed.driver.report(0, falling(0, assignment.config, epoch))
    assert judged == []
    assert not resumed.driver.report(0, falling(0, assignment.config, 3))
    assert judged == [3]
    assert [epoch.epoch for epoch in resumed.record.trial(0).epochs] == [1, 2, 3]
    assert sum("trial 0" in line and "training again up to epoch 3" in line for line in resumed.said) == 1


def test_a_search_killed_before_its_first_file_is_begun_anew(tmp_path: Path) -> None:
    """Only the driver's lock and half of search.yaml were there."""
    spec_of(tmp_path)
    folder = tmp_path / "out" / "space"
    folder.mkdir(parents=True)
    (folder / ".driver.lock").touch()
    (folder / ".0123456789ab.partial").touch()
    assert resolve(Request(str(tmp_path / "space.yaml"), tmp_path / "out", tmp_path))[1].path == folder


def test_a_report_of_nothing_is_no_epoch(tmp_path: Path) -> None:
    simulation = Simulation(spec_of(tmp_path), tmp_path / "s")
    simulation.driver.next()
    assert not simulation.driver.report(0, Report())


def test_every_loss_of_a_worker_reaches_tune_in_a_form_it_understands() -> None:
    """Else Tune breaks off the whole search at a worker that Ray killed for memory."""
    memory = known_to_tune(OutOfMemoryError("1 worker(s) were killed\nand much more"))  # type: ignore[no-untyped-call]
    assert isinstance(memory, WorkerDiedError)
    assert memory.memory
    assert str(pickle.loads(pickle.dumps(memory))) == "OutOfMemoryError: 1 worker(s) were killed"
    node = known_to_tune(NodeDiedError("node gone"))  # type: ignore[no-untyped-call]
    assert isinstance(node, WorkerDiedError)
    assert not node.memory
    died, bug = ActorDiedError(), ValueError("not Ray's")
    assert known_to_tune(died) is died
    assert known_to_tune(bug) is bug


def test_nothing_is_written_when_python_ends_after_a_search() -> None:
    """On a terminal, Ray's colorama would write `ESC [0m` after the last line of a command."""
    program = """
import ray.autoscaler._private.cli_logger  # it starts colorama
from tune.search.ray.patch import no_error_messages
with no_error_messages():
    print("the last line")
"""
    ours, theirs = os.openpty()
    subprocess.run([sys.executable, "-c", program], stdout=theirs, cwd=ROOT, check=True)
    os.close(theirs)
    assert os.read(ours, 1000) == b"the last line\r\n"
    os.close(ours)
