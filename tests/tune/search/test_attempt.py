"""A worker's attempts at a trial, without Ray: checkpoints claimed, damaged, left over; full disks; failures told."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

import models
from tests.tune.search.simulation import spec_of
from tune.search import attempt as module
from tune.search.attempt import Assignment, Attempt, Job, Report
from tune.training import EpochMetrics, load, save

DIGITS = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 4, optimizer: {name: sgd}, threads: 1}
space:
  training.optimizer.lr: {float: [1e-4, 1e300], log: true}
search: {trials: 2}
"""


def job(folder: Path, gpu: float = 0.0) -> Job:
    spec = spec_of(folder, DIGITS)
    return Job(spec.base, str(folder), str(folder / "data"), "val_loss", "min", None, gpu)


def attempt(folder: Path, token: str = "a", lr: float = 0.01, **options: Any) -> Attempt:
    return Attempt(job(folder, **options), Assignment(0, token, {"training.optimizer.lr": lr}))


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


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_damaged_checkpoint_is_trained_again(tmp_path: Path, content: bytes | None) -> None:
    first = attempt(tmp_path, "one")
    expected = values(first.step())
    path = tmp_path / "trial_00000" / "last-one.pt"
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert values(attempt(tmp_path, "two").step()) == expected


def test_the_checkpoint_of_another_experiment_is_not_gone_on_from(tmp_path: Path) -> None:
    attempt(tmp_path, "one", lr=0.01).step()
    report = attempt(tmp_path, "two", lr=0.02).step()
    assert report.end == "failed"
    assert "the checkpoint is of another experiment" in report.reason


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
        assert report.paused
        assert not report.epochs
        assert "is full" in report.reason
    full = False
    report = trial.step()
    assert [epoch.epoch for epoch in report.epochs] == [1]
    assert [epoch.epoch for epoch in trial.step().epochs] == [2]


def test_divergence_memory_bugs_and_impossible_models_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attempt(tmp_path, lr=1e300).step().end == "diverged"

    def raising(error: Exception) -> Report:
        def broken(*args: Any, **options: Any) -> None:
            raise error

        monkeypatch.setattr(module, "Training", broken)
        return attempt(tmp_path, "b").step()

    assert raising(torch.OutOfMemoryError("CUDA out of memory")).end == "out_of_memory"
    assert raising(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")).end == "out_of_memory"
    bug = raising(KeyError("x"))
    assert (bug.end, bug.reason) == ("failed", "KeyError: 'x'")
    assert "KeyError" in bug.detail.splitlines()[-1]
    assert raising(models.ModelError("no such plan")).end == "infeasible"


def test_a_gpu_that_torch_cannot_see_is_named(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    report = attempt(tmp_path, gpu=0.5).step()
    assert report.end == "failed"
    assert "the trial was given 0.5 GPU, but torch" in report.reason


def test_a_report_survives_the_way_to_the_driver() -> None:
    report = Report((EpochMetrics(1, {"val_loss": 0.5}, 0.1, 2.0),), "failed", "reason", "detail", paused=True)
    assert Report.from_dict(report.to_dict()) == report
