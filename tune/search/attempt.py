"""One attempt at one trial on a worker: train an epoch, put it on the disk, say so. Knows files, and no Ray."""

from __future__ import annotations

import dataclasses
import functools
import gc
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import ValidationError

import data
import models
from search_spaces import Config
from tune.record.disk import PAUSE, is_full
from tune.spec.dotted import with_values
from tune.spec.experiment import DataSpec, Experiment
from tune.training import (
    PARTIAL,
    CheckpointError,
    EpochMetrics,
    InfeasibleError,
    Mode,
    Splits,
    Training,
    last_lines,
    load,
    open_splits,
    out_of_memory,
    save,
)

TEMPORARY = ".*.tmp"  # what `write_whole` writes before it renames
LAST = "last-*.pt"  # each attempt under its own name, so that a worker left over from a dead driver harms nobody


@dataclass(frozen=True)
class Job:
    """What all trials of a search share, as it is sent to the workers."""

    base: Mapping[str, Any]
    folder: str
    root: str
    metric: str
    mode: Mode
    epochs: int | None
    gpu: float


@dataclass(frozen=True)
class Assignment:
    """One attempt at one trial. `token` names the attempt."""

    trial: int
    token: str
    config: Config


@dataclass(frozen=True)
class Report:
    """What a worker says after a step: epochs (after a resume, all of them), and the end if there is one.

    `end`: epochs, early_stopping, diverged, out_of_memory, infeasible, failed; None while the trial goes on.
    `reason` is one line, `detail` the last lines of a traceback. `paused`: the epoch's checkpoint finds no room on the
    disk; the next step tries again.
    """

    epochs: tuple[EpochMetrics, ...] = ()
    end: str | None = None
    reason: str = ""
    detail: str = ""
    paused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "epochs": [epoch.to_dict() for epoch in self.epochs]}

    @classmethod
    def from_dict(cls, flat: Mapping[str, Any]) -> Report:
        """The inverse of `to_dict`."""
        epochs = tuple(EpochMetrics.from_dict(row) for row in flat["epochs"])
        return cls(**{**flat, "epochs": epochs})


class Steps(Protocol):
    """What a worker moves on step by step; the tests have one without any training."""

    def step(self) -> Report:
        """Move on by an epoch."""
        ...


class Attempt:
    """Trains one trial. Whatever goes wrong in it is reported, never raised."""

    def __init__(self, job: Job, assignment: Assignment) -> None:
        self._job, self._assignment = job, assignment
        self._folder = Path(job.folder) / f"trial_{assignment.trial:05d}"
        self._training: Training | None = None
        self._unsaved: EpochMetrics | None = None
        self._saved = False  # whether there is a checkpoint under this attempt's name

    def step(self) -> Report:
        """The first step of a resumed trial reports the epochs of its checkpoint: it is judged before it trains on."""
        try:
            return self._step()
        except (InfeasibleError, models.ModelError, data.DataError, ValidationError) as error:
            return Report(end="infeasible", reason=_one_line(error))
        except Exception as error:
            end = "out_of_memory" if out_of_memory(error) else "failed"
            return Report(end=end, reason=_one_line(error), detail=last_lines(error))

    def _step(self) -> Report:
        if self._training is None:
            training = self._open()
            if training.history:
                self._training = training
                return Report(tuple(training.history), training.end and str(training.end))
            self._training = training
        if self._unsaved is None:
            self._unsaved = self._training.run_epoch()
        else:
            time.sleep(PAUSE)
        return self._save(self._training, self._unsaved)

    def _open(self) -> Training:
        job = self._job
        experiment = Experiment.model_validate(with_values(job.base, self._assignment.config))
        device = _device(job.gpu)
        training = Training(
            experiment,
            _splits(experiment.data, job.root, str(device)),
            device=device,
            metric=job.metric,
            mode=job.mode,
            epochs=job.epochs,
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        if (state := self._claim()) is not None:
            training.load(state)
        return training

    def _claim(self) -> dict[str, Any] | None:
        """The state of the furthest whole checkpoint, which takes this attempt's name; all others go."""
        found: list[tuple[int, Path, dict[str, Any]]] = []
        for path in self._folder.glob(LAST):
            if (state := whole_state(path)) is None:
                path.unlink(missing_ok=True)  # half-written or damaged: the epochs are trained again
            else:
                found.append((len(state["history"]), path, state))
        if not found:
            return None
        _, furthest, state = max(found, key=lambda item: item[0])
        furthest.replace(self._last)
        self._saved = True
        for _, path, _ in found:
            if path != furthest and path != self._last:
                path.unlink(missing_ok=True)
        return state

    @property
    def _last(self) -> Path:
        return self._folder / LAST.replace("*", self._assignment.token)

    def _save(self, training: Training, metrics: EpochMetrics) -> Report:
        """Put the epoch on the disk, then report it: what is reported can be gone on from."""
        if self._saved and not self._last.is_file():
            return Report(end="failed", reason="another attempt has taken its checkpoint over")  # our driver is dead
        try:
            save(self._last, training.state())
        except Exception as error:
            if is_full(error):
                return Report(reason=f"the disk of {self._folder} is full", paused=True)
            raise
        self._unsaved, self._saved = None, True
        return Report((metrics,), training.end and str(training.end))


def whole_state(path: Path) -> dict[str, Any] | None:
    """What a trial's checkpoint holds; None where it is damaged, something else, or gone."""
    try:
        state = load(path)
    except CheckpointError:
        return None
    return state if isinstance(state.get("history"), list) and "best_weights" in state else None


def sweep_partial(folder: Path) -> None:
    """Delete what killed processes left half-written: checkpoints, tables, `search.yaml`."""
    for path in [*folder.rglob(PARTIAL), *folder.glob(TEMPORARY)]:
        path.unlink(missing_ok=True)


def settle_memory() -> None:
    """Before the first trial of a process: what the imports made stays, and no collection looks through it again."""
    gc.collect()
    gc.freeze()


def release_memory() -> None:
    """Between two trials of one process: give back what the last one held. 2 ms after `settle_memory`, else 105."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@functools.lru_cache(maxsize=2)
def _splits(spec: DataSpec, root: str, device: str) -> Splits:
    """The images stay with the process: the next trial needs the same ones, mostly."""
    return open_splits(spec, Path(root), torch.device(device))


def _device(gpu: float) -> torch.device:
    """Where the trial trains.

    Raises:
        RuntimeError: the trial was given a GPU that torch cannot see.
    """
    if gpu <= 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
        raise RuntimeError(
            f"the trial was given {gpu:g} GPU, but torch {torch.__version__} sees none "
            f"(CUDA_VISIBLE_DEVICES is {visible}); legal: search.resources.gpu=0, or a torch built for this GPU"
        )
    return torch.device("cuda")


def _one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:300]
