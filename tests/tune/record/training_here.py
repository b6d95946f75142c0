"""A search that really trains, in this process and without Ray: the driver, the record, checkpoints, one worker."""

from __future__ import annotations

from pathlib import Path

import torch

from tune.buckets.address import shown
from tune.record.observer import Observer
from tune.record.opening import drive_search
from tune.record.same_data import record_data
from tune.search.driver import Driver, NoTrial
from tune.search.feasible import Feasibility, Latencies
from tune.search.ledger import Ledger
from tune.search.request import Request, resolve
from tune.search.samplers import sampler_of
from tune.search.samplers.proposer import Proposer
from tune.search.schedulers import scheduler_of
from tune.search.shutdown import Outcome, finish
from tune.search.worker.attempt import Attempt
from tune.search.worker.messages import Job
from tune.spec.data_spec import DataSpec
from tune.training import open_splits

SPACE = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr}
  training: {epochs: 4, optimizer: {name: sgd}, threads: 1}
space:
  training.optimizer.lr: {float: [1e-3, 1.0], log: true}
  training.batch_size: {choice: [32, 64]}
search:
  metric: val_loss
  trials: 7
  concurrent: 1
  resources: {gpu: 0}
  scheduler: {name: asha, max_t: 4, grace_period: 1, reduction_factor: 2}
  sampler: {name: tpe, startup: 3}
  retention: {best: 2}
"""


def search_here(space: Path, out: Path, study: str | None, *, resume: bool = False) -> Outcome:
    """Start the search `s` below a folder, or continue it to its end."""
    request = Request(str(space), out, space.parent / "data", name="s", study=study, resume=resume)
    spec, folder = resolve(request)
    data: DataSpec = spec.sample.data
    splits = open_splits(data, request.root, torch.device("cpu"))

    def begin() -> dict[str, object]:
        return {"data": record_data(folder.path, splits.identity), "split": splits.split_hash}

    with drive_search(folder, spec, begin, lambda text: None, resume=resume) as search:
        scheduler, check = scheduler_of(spec), Feasibility(spec, request.root, Latencies(search.record))
        proposer = Proposer(spec.space, sampler_of(spec, scheduler, lambda text: None), spec.seed, check)
        ledger = Ledger(spec, folder, search.record, proposer, scheduler, trials=spec.search.trials)
        driver = Driver(ledger, Observer())
        job = Job(spec.base, shown(folder.path), str(request.root), "val_loss", spec.epochs, 0.0)
        while not isinstance(task := driver.next(), NoTrial):
            attempt = Attempt(job, task)
            while not driver.report(task.trial, attempt.step()):
                pass
        return finish(driver)
