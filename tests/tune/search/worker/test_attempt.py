"""A worker's attempts at a trial, without Ray: checkpoints claimed, damaged, left over; full disks; failures told."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import data
import models
from tests.tune.search.simulation import spec_of
from tests.tune.search.worker.attempts import DIGITS, attempt, job
from tune.search.worker import attempt as module
from tune.search.worker.attempt import Attempt
from tune.search.worker.messages import Assignment, Job, Report
from tune.spec.metric import EpochMetrics
from tune.training import CheckpointError, InfeasibleError, load, open_splits, save


def values(report: Report) -> list[dict[str, float]]:
    return [dict(epoch.values) for epoch in report.epochs]


def test_an_attempt_goes_on_from_the_last_ones_checkpoint_and_is_heard_first(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    whole = attempt(tmp_path / "w")
    expected = [values(whole.step()) for _ in range(4)]
    (tmp_path / "s").mkdir()
    first = attempt(tmp_path / "s", "one")
    assert [values(first.step()) for _ in range(2)] == expected[:2]
    second = attempt(tmp_path / "s", "two")
    heard = second.step()
    assert values(heard) == [row for rows in expected[:2] for row in rows]  # no training yet: it is judged first
    assert heard.end is None
    assert values(second.step()) == expected[2]
    last = second.step()
    assert (values(last), last.end) == (expected[3], "epochs")
    assert [path.name for path in (tmp_path / "s" / "trial_00000").iterdir()] == ["last-two.pt"]


def test_a_worker_left_over_cannot_write_over_the_live_one(tmp_path: Path) -> None:
    stale = attempt(tmp_path, "stale")
    stale.step()
    live = attempt(tmp_path, "live")
    live.step()
    live.step()
    stale.step()  # it writes under its own name
    assert len(load(tmp_path / "trial_00000" / "last-live.pt")["history"]) == 2
    third = attempt(tmp_path, "third")
    assert len(third.step().epochs) == 2
    assert [path.name for path in (tmp_path / "trial_00000").iterdir()] == ["last-third.pt"]


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "rubbish": lambda path: path.write_bytes(b"rubbish"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "something else": lambda path: save(path, {"something": "else"}),
    "another format": lambda path: save(path, {**load(path), "format": 99}),
    "another architecture": lambda path: save(path, {**load(path), "model": {"weight": torch.zeros(1)}}),
}


@pytest.mark.parametrize("how", UNUSABLE)
def test_an_unusable_checkpoint_is_trained_again(tmp_path: Path, how: str) -> None:
    """Damaged on the disk, or written by another version before an upgrade."""
    expected = values(attempt(tmp_path, "one").step())
    UNUSABLE[how](tmp_path / "trial_00000" / "last-one.pt")
    second = attempt(tmp_path, "two")
    report = second.step()
    assert (values(report), report.end) == (expected, None)
    assert [epoch.epoch for epoch in second.step().epochs] == [2]
    assert [path.name for path in (tmp_path / "trial_00000").iterdir()] == ["last-two.pt"]


def test_the_checkpoint_of_another_experiment_is_not_gone_on_from(tmp_path: Path) -> None:
    attempt(tmp_path, "one", lr=0.01).step()
    report = attempt(tmp_path, "two", lr=0.02).step()
    assert report.end == "failed"
    assert "another experiment" in report.reason


def test_a_full_disk_pauses_and_nothing_is_trained_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    full = True

    def failing(path: Path, state: dict[str, Any]) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, state)

    monkeypatch.setattr(module, "save", failing)
    trial = attempt(tmp_path)
    for _ in range(3):
        report = trial.step()
        assert report.blocked == f"the disk of {tmp_path} is full"
        assert not report.epochs
    full = False
    report = trial.step()
    assert [epoch.epoch for epoch in report.epochs] == [1]
    assert [epoch.epoch for epoch in trial.step().epochs] == [2]


def test_a_diverging_trial_says_so(tmp_path: Path) -> None:
    assert attempt(tmp_path, lr=1e300).step().end == "diverged"


@pytest.mark.parametrize(
    ("error", "end", "retire"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory", True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory", True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), "failed", True),
        (RuntimeError("CUDA error: unspecified launch failure"), "failed", True),
        (RuntimeError("CUDA error: device-side assert triggered"), "failed", True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "failed", True),
        (KeyError("x"), "failed", False),
        (data.DataError("data.path /images does not exist"), "failed", False),
        (data.DamagedDataError("cannot read the image a.png"), "failed", False),
        (CheckpointError("the checkpoint is of another experiment"), "failed", False),
        (models.ModelError("no such plan"), "infeasible", False),
        (InfeasibleError("one value per channel"), "infeasible", False),
    ],
)
def test_ends_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, end: str, retire: bool
) -> None:
    """Infeasible is only what the configuration causes anywhere; memory and CUDA errors spoil the process."""

    def broken(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(module, "Training", broken)
    report = attempt(tmp_path, "b").step()
    assert (report.end, report.retire) == (end, retire)
    assert str(error) in report.reason
    assert bool(report.detail) is (end != "infeasible")


def test_what_the_configuration_alone_makes_impossible_is_infeasible(tmp_path: Path) -> None:
    """A batch of one image: batch normalization has a single value per channel."""
    text = DIGITS.replace("mnist_mlr", "mnist_residual").replace("epochs: 4", "epochs: 4, batch_size: 1")
    made = Job(spec_of(tmp_path, text).base, str(tmp_path), str(tmp_path / "data"), "val_loss", None, 0.0)
    report = Attempt(made, Assignment(0, "a", {"training.optimizer.lr": 0.01})).step()
    assert report.end == "infeasible"
    assert not list(tmp_path.glob("trial_*"))


def test_a_searched_augmentation_reads_the_images_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def counting(spec: Any, *args: Any, **options: Any) -> Any:
        opened.append(spec)
        return open_splits(spec, *args, **options)

    monkeypatch.setattr(module, "open_splits", counting)
    module._splits.cache_clear()
    seen = []
    for index, augment in enumerate((["flip"], ["crop"], {})):
        config = {"training.optimizer.lr": 0.01, "data.augment": augment}
        trial = Attempt(job(tmp_path), Assignment(index, "a", config))
        assert trial.step().epochs
        assert trial._training is not None
        seen.append(trial._training.experiment.data.augment)
    assert len(opened) == 1
    assert len(set(seen)) == 3


@pytest.mark.parametrize("same", [True, False])
def test_a_node_with_other_images_says_so(tmp_path: Path, same: bool) -> None:
    digest = data.identify(spec_of(tmp_path, DIGITS).sample.data.source, tmp_path / "data").digest
    job_there = replace(job(tmp_path), data=digest if same else "another")
    report = Attempt(job_there, Assignment(0, "a", {"training.optimizer.lr": 0.01})).step()
    assert report.end == (None if same else "failed")
    assert ("the images on this node are not those of the search" in report.reason) is not same


def test_a_gpu_that_torch_cannot_see_is_named(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    report = attempt(tmp_path, gpu=0.5).step()
    assert report.end == "failed"
    assert "0.5 GPU" in report.reason


def test_a_report_survives_the_way_to_the_driver() -> None:
    report = Report(
        (EpochMetrics(1, {"val_loss": 0.5}, 0.1, 2.0),), "failed", "reason", "detail", blocked="the disk of /s is full"
    )
    assert Report.from_dict(report.to_dict()) == report
