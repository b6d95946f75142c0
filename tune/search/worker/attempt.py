"""One attempt at one trial on a worker: train an epoch, write a checkpoint, report. Knows files, but not Ray."""

from __future__ import annotations

import errno
import functools
import os
import time
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

import data
import models
from tune.buckets.address import url_of
from tune.buckets.parsing import folder_of
from tune.errors import MOST, UserError, WorkError, first_line, named_line
from tune.files import fetch, files, remove, rename, still_there
from tune.record.disk import PAUSE, obstacle
from tune.record.folder import SearchFolder
from tune.search.worker.checkpoints import LAST, REPLICATE, furthest
from tune.search.worker.devices import trial_device
from tune.search.worker.images import SentImages, other_images
from tune.search.worker.messages import Assignment, Job, Report
from tune.spec.data_spec import DataSpec
from tune.spec.dotted import with_values
from tune.spec.experiment import Experiment
from tune.spec.metric import METRICS, EpochMetrics, Objective
from tune.training import (
    InfeasibleError,
    OtherVersionError,
    Splits,
    Training,
    last_lines,
    open_splits,
    out_of_memory,
    process_broken,
    save,
    split_up,
)


class Attempt:
    """Trains one trial. Whatever goes wrong in it is reported, never raised."""

    def __init__(self, job: Job, assignment: Assignment) -> None:
        self._job, self._assignment = job, assignment
        self._folder = SearchFolder(folder_of(job.folder)).trial(assignment.trial)
        self._training: Training | None = None
        self._unsaved: EpochMetrics | None = None
        self._saved = False  # whether there is a checkpoint under this attempt's name
        self._blocked = ""  # why the last step could not be finished

    def step(self) -> Report:
        """Train an epoch. A resumed trial first reports the epochs of its checkpoint, to be judged before it trains."""
        if self._blocked:
            time.sleep(PAUSE)
        try:
            report = self._step()
        except Exception as error:
            self._blocked = obstacle(error, self._folder.parent)
            return Report(blocked=self._blocked) if self._blocked else failure(error)
        self._blocked = ""
        return report

    def _step(self) -> Report:
        if self._training is None:
            training = self._open()
            if training.history:
                self._training = training
                return Report(tuple(training.history), training.end and str(training.end))
            self._training = training
        if self._unsaved is None:
            self._unsaved = self._training.run_epoch()
        return self._save(self._training, self._unsaved)

    def _open(self) -> Training:
        """The training, resumed from its furthest checkpoint if there is a usable one."""
        training = self._begin()
        fetch(self._folder)
        self._check_reachable()
        self._folder.mkdir(parents=True, exist_ok=True)
        if (state := self._claim()) is None:
            return training
        try:
            training.load(state)
        except OtherVersionError:
            remove(self._last)
            self._saved = False
        return training

    def _begin(self) -> Training:
        job = self._job
        experiment = Experiment.model_validate(with_values(job.base, self._assignment.config))
        seed = (experiment.seed + self._assignment.seed) % 2**63
        experiment = experiment.model_copy(update={"seed": seed})
        device = trial_device(job.gpu)
        splits = _splits(experiment.data.model_copy(update={"augment": ()}), job.root, str(device), job.images)
        if job.data and splits.identity.digest != job.data:
            raise data.DataError(other_images(experiment.data, job.root))
        return Training(
            experiment,
            splits,
            device=device,
            objective=Objective(METRICS[job.metric]),
            epochs=job.epochs,
        )

    def _claim(self) -> dict[str, Any] | None:
        """The state of the furthest checkpoint, renamed to this attempt's; all others are deleted.

        Of one that is half-written or damaged, the epochs are trained again.
        """
        paths = files(self._folder, self._pattern)
        found = furthest(paths)
        if found is not None:
            rename(found[0], self._last)
            self._saved = True
        for path in paths:
            if found is None or path not in (found[0], self._last):
                remove(path)
        return None if found is None else found[1]

    def _check_reachable(self) -> None:
        """Raise what is an `obstacle` where the search's folder is gone: its file system is, for now."""
        search = self._folder.parent
        if url_of(search) is None and not search.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(search))

    @property
    def _pattern(self) -> str:
        return REPLICATE.format(seed) if (seed := self._assignment.seed) else LAST

    @property
    def _last(self) -> Path:
        return self._folder / self._pattern.replace("*", self._assignment.token)

    def _save(self, training: Training, metrics: EpochMetrics) -> Report:
        """Write the checkpoint before the epoch is reported: the trial can resume from whatever was reported."""
        self._check_reachable()
        if self._saved and not still_there(self._last):  # its driver is dead, or has given up its node
            return Report(end="failed", reason="another attempt has taken over this trial's checkpoint")
        save(self._last, training.state())
        self._unsaved, self._saved = None, True
        return Report((metrics,), training.end and str(training.end))


def failure(error: Exception) -> Report:
    """The report of an attempt that raised.

    Infeasible is only what the configuration causes wherever it is trained, since the sampler then keeps away from it.
    """
    explained = isinstance(error, models.ModelError | data.DataError | UserError | WorkError)
    reason = first_line(error, MOST) if explained else named_line(error)
    if isinstance(error, models.ModelError | ValidationError | InfeasibleError):
        return Report(end="infeasible", reason=reason)
    end = "out_of_memory" if out_of_memory(error) else "failed"
    return Report(end=end, reason=reason, detail=last_lines(error), retire=process_broken(error))


@functools.lru_cache(maxsize=2)
def _splits(spec: DataSpec, root: str, device: str, sent: SentImages | None) -> Splits:
    """The images, kept for the process's next trial, which usually needs the same ones.

    Args:
        spec: Without augmentation, which is applied to batches and changes no image on the device.
        root: The data directory.
        device: Where to put them.
        sent: The images, where they need not be read.
    """
    if sent is not None:
        return split_up(spec, *sent.opened(), torch.device(device))
    return open_splits(spec, Path(root), torch.device(device))
