"""Run a search: begin or go on with its record, let Ray execute, end in order whatever happens."""

from __future__ import annotations

import platform
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch

from tune.record.journal import DamagedRecordError
from tune.record.layout import SearchFolder
from tune.record.lock import driving
from tune.record.resolved import write_search
from tune.record.status import Status
from tune.record.study import Record, TrialRecord, quiet_optuna, repair
from tune.record.table import epochs_table, trials_table, write_tables
from tune.search.attempt import Job
from tune.search.cluster import Holding, connected, holding
from tune.search.driver import Driver
from tune.search.events import Observer
from tune.search.feasible import Feasibility
from tune.search.request import Request, resolve
from tune.search.sampler import Proposer
from tune.search.scheduler import Asha
from tune.spec.search import SearchSpec
from tune.training import open_splits

INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Outcome:
    """How a search ended. `state`: finished, stopped, interrupted or failed; see `tune.record` for the counts."""

    folder: SearchFolder
    spec: SearchSpec
    state: str
    reason: str
    counts: Mapping[str, int]
    best: TrialRecord | None

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 130 interrupted."""
        return {"failed": 1, INTERRUPTED: 130}.get(self.state, 0)


def run_search(request: Request, observer: Observer, worker: type | None = None) -> Outcome:
    """Run a search to its end, or to the end of its budget, or until it is interrupted.

    Raises:
        UserError: bad input; nothing was written.
        WorkError: the record is damaged beyond repair.
    """
    spec, folder = resolve(request)
    splits = open_splits(spec.sample.data, request.root, torch.device("cpu"), say=observer.say)
    with connected(request.address), quiet_optuna():
        held = holding(spec.search.resources)
        observer.say(_resources_line(spec, held))
        folder.path.mkdir(parents=True, exist_ok=True)
        with driving(folder):
            record = _open(spec, folder, splits.split_hash, observer.say)
            driver = _driver(spec, folder, record, request, observer)
            try:
                with _signals(driver):
                    _execute(driver, request, held, worker)
            except BaseException as error:
                driver.stop(f"failed: {type(error).__name__}: {error}")
                raise
            finally:
                driver.rest_all()
                outcome = _outcome(driver)
                write_all_tables(folder, spec, record)
    return outcome


def _open(spec: SearchSpec, folder: SearchFolder, split_hash: str, say: Callable[[str], None]) -> Record:
    """The record, begun where there is none; mended where a kill or a full disk cut it off."""
    metric = spec.search.metric
    if not folder.spec.is_file():
        made_with = {"split": split_hash, **versions()}
        write_search(folder, spec, made_with)
    repair(folder.journal, say)
    if not folder.journal.is_file() or folder.journal.stat().st_size == 0:
        if any(folder.path.glob("trial_*")) or folder.trials_table.is_file():
            raise DamagedRecordError(f"{folder.journal} is missing: it holds the search; restore it from a backup")
        return Record.create(folder.journal, folder.name, metric, spec.search.direction, say=say)
    return Record.open(folder.journal, folder.name, metric, say=say)


def _driver(spec: SearchSpec, folder: SearchFolder, record: Record, request: Request, observer: Observer) -> Driver:
    before = int(record.facts.get("trials", 0))
    target = before + request.extend if request.extend is not None else spec.search.trials
    record.note("trials", target)
    record.note("state", {"state": "running", "reason": ""})
    settings = spec.search
    epochs = spec.epochs or spec.sample.training.epochs
    asha = (
        Asha(settings.scheduler, epochs, settings.direction, spec.seed) if settings.scheduler.name == "asha" else None
    )
    check = Feasibility(spec, request.root)
    proposer = Proposer(spec.space, settings.sampler, spec.seed, settings.direction, check)
    return Driver(spec, folder, record, proposer, asha, observer, trials=target)


def _execute(driver: Driver, request: Request, held: Holding, worker: type | None) -> None:
    """Let Ray Tune run the driver's trials until the driver is done or halts."""
    from ray import tune as ray_tune

    from tune.search.on_ray import DriverScheduler, DriverSearcher, Halt, TrialWorker, Watch

    spec = driver.spec
    job = Job(
        base=spec.base,
        folder=str(driver.folder.path.absolute()),
        root=str(request.root.absolute()),
        metric=spec.search.metric,
        mode=spec.search.direction,
        epochs=spec.epochs,
        gpu=held.gpu,
    )
    searcher = DriverSearcher(driver)
    concurrent = min(spec.search.concurrent or held.slots, held.slots)
    scratch = tempfile.mkdtemp(prefix="imagetune-")  # Tune's own files: nobody reads them
    try:
        ray_tune.Tuner(
            ray_tune.with_resources(
                ray_tune.with_parameters(worker or TrialWorker, job=job), {"cpu": held.cpu, "gpu": held.gpu}
            ),
            tune_config=ray_tune.TuneConfig(
                search_alg=searcher,
                scheduler=DriverScheduler(driver, searcher),
                num_samples=-1,
                max_concurrent_trials=concurrent,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=ray_tune.RunConfig(
                name="run",
                storage_path=scratch,
                verbose=0,
                stop=Halt(driver),
                callbacks=[Watch(driver, searcher)],
                failure_config=ray_tune.FailureConfig(max_failures=0),
                checkpoint_config=ray_tune.CheckpointConfig(checkpoint_at_end=False),  # the worker writes its own
            ),
        ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _signals(driver: Driver) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the search in order; a second Ctrl-C at once."""

    def halt(number: int, frame: FrameType | None) -> None:
        if driver.halt:
            raise KeyboardInterrupt
        driver.stop(f"{INTERRUPTED} by {signal.Signals(number).name}")

    before = {number: signal.signal(number, halt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _outcome(driver: Driver) -> Outcome:
    """Note in the record, and return, how the search ended."""
    reason, best = driver.halt, driver.best
    if reason:
        state = next((word for word in (INTERRUPTED, "failed") if reason.startswith(word)), "stopped")
    elif best is None:
        state, reason = "failed", f"no trial gave a value of {driver.record.metric}: {_errors(driver)}"
    else:
        state, reason = "finished", "the space is exhausted" if driver.exhausted else ""
    driver.record.note("state", {"state": state, "reason": reason})
    counts = {str(status): driver.counts.get(status, 0) for status in Status}
    return Outcome(driver.folder, driver.spec, state, reason, counts, best)


def _errors(driver: Driver) -> str:
    reasons = [f"trial {t.number} {t.status}: {t.reason}" for t in driver.trials.values() if t.status.ended]
    return "; ".join(reasons[:5]) + (f"; and {len(reasons) - 5} more" if len(reasons) > 5 else "")


def write_all_tables(folder: SearchFolder, spec: SearchSpec, record: Record) -> None:
    """Make both parquet files from the record."""
    trials = record.trials()
    fields = list(spec.space.domains)
    table = trials_table(trials, fields, record.metric, record.direction, folder)
    write_tables(folder, table, epochs_table(trials))


def versions() -> dict[str, str]:
    """What results may depend on beside the experiment."""
    from importlib.metadata import version

    names = ("torch", "torchvision", "numpy", "ray", "optuna")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _resources_line(spec: SearchSpec, held: Holding) -> str:
    concurrent = min(spec.search.concurrent or held.slots, held.slots)
    auto = " (gpu: auto)" if spec.search.resources.gpu == "auto" else ""
    return f"each trial reserves {held.cpu:g} CPU and {held.gpu:g} GPU{auto}; {concurrent} at once"
