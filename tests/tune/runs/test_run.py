"""One run: exact resume from any epoch, files that a kill leaves, and who may train in a folder."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import signal
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.tune.runs.folders import Quiet, plan, trained
from tune.errors import UserError, WorkError
from tune.interruption import interruptible, raise_if_interrupted
from tune.record import RunFolder
from tune.runs import files as run_files
from tune.runs.run import Interrupted, run
from tune.runs.weights import open_run
from tune.training import CheckpointError, End, Training, load_weights


class Interrupting(Quiet):
    """Interrupts a training when it has told of so many epochs."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def say(self, text: str) -> None:
        super().say(text)
        if text.startswith(f"epoch {self.after}/"):
            raise KeyboardInterrupt


def table(folder: RunFolder) -> pd.DataFrame:
    return pd.read_parquet(folder.epochs_table).drop(columns="seconds")


SGD = "optimizer: {name: sgd, lr: 0.1, momentum: 0.9}, schedule: {name: onecycle}, precision: bfloat16"


@pytest.mark.parametrize(
    "recipe",
    ["training.optimizer={name: adamw, lr: 0.01}", f"training={{batch_size: 50, threads: 1, {SGD}}}"],
)
def test_resume_is_as_if_never_interrupted(tmp_path: Path, recipe: str) -> None:
    overrides = (recipe, "training.epochs=4", "data.augment=[crop]")
    whole = trained(tmp_path, *overrides, name="whole")
    broken = plan(tmp_path, *overrides, name="broken")
    with pytest.raises(Interrupted):
        run(broken, tmp_path, Interrupting(1))
    with pytest.raises(Interrupted):
        run(broken, tmp_path, Interrupting(3), resume=True)
    result = run(broken, tmp_path, Quiet(), resume=True)
    assert result.trained == 1
    assert table(broken.folder).equals(table(whole.folder))
    assert broken.folder.weights.read_bytes() == whole.folder.weights.read_bytes()


def test_a_signal_whose_exception_is_dropped_still_ends_the_training(tmp_path: Path) -> None:
    """As Python drops one that is raised in a `__del__`."""

    class Dropping(Quiet):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("epoch 2/"):
                with suppress(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)

    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    made, observer = plan(tmp_path, "training.epochs=9"), Dropping()
    with pytest.raises(Interrupted), interruptible(interrupt, lambda: None, grace=60.0):
        run(made, tmp_path, observer)
    assert len(table(made.folder)) == 2
    assert "interrupted; 2 of 9 epochs saved" in " ".join(observer.lines)
    raise_if_interrupted()  # the signal is answered


def test_within_an_epoch_the_last_whole_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(tmp_path)
    whole = trained(tmp_path, name="whole")
    step, steps = Training._step, iter(range(100))

    def interrupted(self: Training, *batch: object) -> object:
        if next(steps) == 8:  # five steps an epoch
            raise KeyboardInterrupt
        return step(self, *batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_step", interrupted)
        screen = Quiet()
        with pytest.raises(Interrupted):
            run(made, tmp_path, screen)
    assert screen.lines[-1].endswith("interrupted; 1 of 3 epochs saved")
    assert len(table(made.folder)) == 1
    run(made, tmp_path, Quiet(), resume=True)
    assert table(made.folder).equals(table(whole.folder))


def test_a_kill_before_the_first_epoch_is_resumed_with_the_given_weights(tmp_path: Path) -> None:
    first = trained(tmp_path, name="first")
    made = dataclasses.replace(plan(tmp_path, "training.epochs=2", name="second"), weights=first.folder)
    whole = dataclasses.replace(made, folder=RunFolder(tmp_path / "out" / "whole"))
    run(whole, tmp_path, Quiet())

    class AtOnce(Quiet):
        def training(self, name: str, training: Training, epochs: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(made, tmp_path, AtOnce())
    run(dataclasses.replace(made, weights=None), tmp_path, Quiet(), resume=True)
    assert table(made.folder).equals(table(whole.folder))


def test_files_behind_the_checkpoint_are_brought_level(tmp_path: Path) -> None:
    result = trained(tmp_path)
    expected = table(result.folder)
    result.folder.weights.unlink()
    result.folder.epochs_table.unlink()
    run(plan(tmp_path), tmp_path, Quiet(), resume=True)
    assert table(result.folder).equals(expected)
    assert open_run(result.folder, torch.device("cpu")).epoch == (result.best and result.best.epoch)


def test_a_finished_run_is_not_written_again(tmp_path: Path) -> None:
    result = trained(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in result.folder.path.iterdir()}
    again = run(plan(tmp_path), tmp_path, Quiet(), resume=True)
    assert (again.trained, again.end) == (0, End.EPOCHS)
    assert {path: path.stat().st_mtime_ns for path in result.folder.path.iterdir()} == before


def test_what_a_kill_left_before_the_run_began_is_no_run(tmp_path: Path) -> None:
    made = plan(tmp_path)
    made.folder.path.mkdir(parents=True)
    (made.folder.path / "last.pt").write_bytes(b"half")
    (made.folder.path / "last.pt.123.partial").write_bytes(b"half")
    assert run(made, tmp_path, Quiet()).end is End.EPOCHS
    assert not list(made.folder.path.glob("*.partial"))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    result = trained(tmp_path)
    result.folder.last.write_bytes(result.folder.last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last\.pt: the checkpoint is damaged"):
        run(plan(tmp_path), tmp_path, Quiet(), resume=True)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    result = trained(tmp_path)
    with result.folder.log.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process"):
            run(plan(tmp_path), tmp_path, Quiet(), resume=True)


def test_a_full_disk_from_the_start_is_no_fault_of_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "there")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match="No space left"), run_files.locked(RunFolder(tmp_path / "x")):
        pass


def test_spent_memory_is_told_with_the_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(tmp_path)

    def spent(self: Training, on_step: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(Training, "run_epoch", spent)
        with pytest.raises(WorkError, match=r"training\.batch_size=64"):
            run(made, tmp_path, Quiet())
    assert not made.folder.path.exists()  # no epoch is done: there is nothing to continue
    with pytest.raises(Interrupted):
        run(made, tmp_path, Interrupting(1))
    monkeypatch.setattr(Training, "run_epoch", spent)
    with pytest.raises(WorkError):
        run(made, tmp_path, Quiet(), resume=True)
    assert len(table(made.folder)) == 1


def test_early_stopping_ends_and_the_best_epoch_is_kept(tmp_path: Path) -> None:
    options = "training.early_stopping={patience: 1, min_delta: 10}"
    result = trained(tmp_path, options)
    assert (result.end, len(result.history)) == (End.EARLY_STOPPING, 2)
    assert result.best is not None
    assert load_weights(result.folder.weights)[1] == {"epoch": str(result.best.epoch)}


def test_without_validation_the_last_epoch_counts_and_columns_stay(tmp_path: Path) -> None:
    result = trained(tmp_path, "data.validation_fraction=0")
    assert result.best is result.history[-1]
    assert pd.read_parquet(result.folder.epochs_table)["val_loss"].isna().all()
