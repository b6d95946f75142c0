"""A search without Ray and without training: tabulated curves, workers that take turns, and kills where one likes.

The driver, the record, the sampler, ASHA and retention are the real ones. A worker's checkpoint is a number of epochs
that outlives a kill, as the file would.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from search_spaces import Config
from tune.record.folder import SearchFolder
from tune.record.observer import Observer
from tune.record.opening import open_record
from tune.record.search_yaml import write_spec
from tune.record.storage.journal import repair
from tune.record.study import Record
from tune.search.control.settings import in_force
from tune.search.driver import Driver, NoTrial
from tune.search.ledger import SETTINGS, Ledger
from tune.search.samplers import sampler_of
from tune.search.samplers.proposer import Proposer
from tune.search.schedulers import scheduler_of
from tune.search.worker.messages import Assignment, Report
from tune.spec import SearchSpec, load_search
from tune.spec.metric import METRICS, EpochMetrics, Objective
from tune.training import save

Curve = Callable[[int, Config, int], Report]
"""(trial, config, epoch) -> what the worker says after that epoch."""

Replicate = Callable[[int, Config, int, int], Report]
"""(trial, config, epoch, seed) -> the same where the trial trains its second seed (1) or a later one."""

LOSS = Objective(METRICS["val_loss"])

SPACE = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 9}
space:
  training.optimizer.lr: {float: [1e-4, 1e-1], log: true}
  training.batch_size: {int: [8, 64], step: 8}
search:
  metric: val_loss
  trials: 12
  scheduler: {name: asha, type: stopping, max_t: 9, grace_period: 1, reduction_factor: 3}
  sampler: {name: tpe}
  retention: {best: 3}
"""


class KilledError(Exception):
    """The driver's process dies here."""


def spec_of(folder: Path, text: str = SPACE, *overrides: str) -> SearchSpec:
    """A search from YAML text."""
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return load_search(str(path), overrides)


def noise(*parts: Any) -> float:
    """A number in [0, 1) that the parts determine."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def falling(trial: int, config: Config, epoch: int) -> Report:
    """Losses that fall, faster for some learning rates; ends at epoch 9."""
    quality = abs(torch.tensor(config["training.optimizer.lr"]).log10().item() + 2.5)
    loss = 0.1 + quality + 2.0 / epoch + 0.05 * noise(sorted(config.items()), epoch)
    return Report((metrics(epoch, loss),), "epochs" if epoch == 9 else None)


def metrics(epoch: int, loss: float) -> EpochMetrics:
    """An epoch with this validation loss."""
    accuracy = max(0.0, 1 - loss / 10)
    values = {"train_loss": loss, "train_accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy}
    return EpochMetrics(epoch, values, 0.01, 0.5)


class Listening(Observer):
    """Keeps what is said."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def say(self, text: str) -> None:
        self.said.append(text)


class Simulation:
    """A search in a folder, driven as the runner drives it; a new one on the same folder is a resume."""

    def __init__(
        self,
        spec: SearchSpec,
        folder: Path,
        curve: Curve = falling,
        *,
        trials: int | None = None,
        facts: Mapping[str, Any] | None = None,
        files: bool = False,
        study: str | None = None,
        replicate: Replicate | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.folder = SearchFolder(folder, study)
        folder.mkdir(parents=True, exist_ok=True)
        self.curve, self.files, self.replicate = curve, files, replicate
        self.said: list[str] = []
        observer = observer or Listening(self.said)
        settings = spec.search
        if (repaired := repair(self.folder.journal)) is not None:
            self.said.append(repaired)
        self.record = self._opened(spec)
        scheduler = scheduler_of(spec)
        known = dict(facts or {"parameters": 10, "mult_adds": 10})
        proposer = Proposer(spec.space, sampler_of(spec, scheduler, self.said.append), spec.seed, lambda config: known)
        noted = self.record.facts
        wanted = trials or int(noted.get("trials", settings.trials))
        spec = in_force(spec, spec, noted.get(SETTINGS, {}), ())
        self.ledger = Ledger(spec, self.folder, self.record, proposer, scheduler, trials=wanted)
        self.driver = Driver(self.ledger, observer)

    def _opened(self, spec: SearchSpec) -> Record:
        if self.folder.study is not None and not self.folder.spec.is_file():
            write_spec(self.folder, spec, {})
        say = None if self.folder.study is None else self.said.append
        return open_record(self.folder, spec.search.objective, say, create=True)

    def run(self, workers: int = 1, checkpoints: dict[int, int] | None = None) -> None:
        """Let workers take turns until the driver is done. `checkpoints`: trial -> epochs, which outlive a kill.

        Those of further seeds are at 1,000 * seed + trial.
        """
        done = {} if checkpoints is None else checkpoints
        busy: dict[int, tuple[Assignment, bool]] = {}
        while True:
            while len(busy) < workers:
                answer = self.driver.next()
                if isinstance(answer, NoTrial):
                    break
                busy[answer.trial] = (answer, _key(answer) in done)
            if not busy:
                assert answer is NoTrial.DONE
                return
            for number in self.driver.poll():
                busy.pop(number, None)
            if self.driver.halt:
                self.driver.requeue_all()
                return
            for number in list(busy):
                task, resumed = busy[number]
                report = self._history(task, done) if resumed else self._step(task, done)
                busy[number] = (task, False)
                if self.driver.report(number, report):
                    del busy[number]
                if self.driver.halt:
                    self.driver.requeue_all()
                    return

    def _step(self, task: Assignment, done: dict[int, int]) -> Report:
        epoch = done.get(_key(task), 0) + 1
        report = self._report(task, epoch)
        if report.epochs:
            done[_key(task)] = epoch
            self._write(task, epoch)
        return report

    def _report(self, task: Assignment, epoch: int) -> Report:
        if task.seed and self.replicate is not None:
            return self.replicate(task.trial, task.config, epoch, task.seed)
        return self.curve(task.trial, task.config, epoch)

    def _history(self, task: Assignment, done: dict[int, int]) -> Report:
        """What a resumed worker says first: all epochs of its checkpoint."""
        reports = [self._report(task, epoch) for epoch in range(1, done[_key(task)] + 1)]
        epochs = tuple(metrics for report in reports for metrics in report.epochs)
        return dataclasses.replace(reports[-1], epochs=epochs)

    def _write(self, task: Assignment, epochs: int) -> None:
        if self.files:
            folder = self.folder.trial(task.trial)
            folder.mkdir(exist_ok=True)
            name = f"replicate{task.seed}-x.pt" if task.seed else "last-x.pt"
            weights = {"w": torch.full((3,), float(task.seed))}
            save(folder / name, {"history": [{}] * epochs, "best_weights": weights})


def _key(task: Assignment) -> int:
    return 1000 * task.seed + task.trial


FIELDS = ["training.optimizer.lr", "training.batch_size"]


def ends_at(table: dict[int, tuple[int, str]]) -> Curve:
    """Falling losses; trial -> (epoch, end) overrides how a trial ends."""

    def curve(trial: int, config: Config, epoch: int) -> Report:
        report = falling(trial, config, epoch)
        if trial in table and table[trial][0] == epoch:
            end = table[trial][1]
            if end == "diverged":
                return Report((metrics(epoch, math.nan),), end, "loss is NaN")
            return Report((), end, f"{end} for a reason", "Traceback\nlast line")
        return report

    return curve
