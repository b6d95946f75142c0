"""Run a search: begin or go on with its record, let Ray execute, end in order whatever happens."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from tune.errors import UserError, WorkError
from tune.record.folder import SearchFolder, locate_search, write_whole
from tune.record.lease import leading, refuse_driven
from tune.record.lock import driving
from tune.record.search_yaml import made_with, read_search, write_search
from tune.record.storage import begin_record, has_record, lying_in, open_record, place_of
from tune.record.study import Record, quiet_optuna, repair
from tune.record.url import study_url
from tune.search.driver import Driver
from tune.search.feasible import Feasibility
from tune.search.ledger import Ledger
from tune.search.observer import Observer
from tune.search.ray.cluster import TrialResources, connected, trial_resources
from tune.search.request import Request, resolve
from tune.search.samplers.proposer import Proposer
from tune.search.schedulers.asha import Asha
from tune.search.shutdown import Outcome, ending_in_order, finish
from tune.search.warm_start import WARM, check_metric, warm_start
from tune.spec.search import SearchSpec
from tune.training import last_lines, open_splits

if TYPE_CHECKING:
    from tune.search.ray.adapters import TrialWorker


def run_search(request: Request, observer: Observer, worker: type[TrialWorker] | None = None) -> Outcome:
    """Run a search to its end, or to the end of its budget, or until it is interrupted.

    Raises:
        UserError: bad input; nothing was written.
        WorkError: the record is damaged beyond repair, or Ray broke down.
    """
    spec, folder = resolve(request)
    other = _other_search(spec, request)
    splits = open_splits(spec.sample.data, request.root, torch.device("cpu"), say=observer.say)
    with connected(request.address), quiet_optuna():
        resources = trial_resources(spec.search.resources)
        observer.say(_resources_line(spec, resources))
        folder.path.mkdir(parents=True, exist_ok=True)
        with driving(folder):
            record = _open(spec, folder, splits.split_hash, observer.say)
            with closing(record), leading(folder, record) as lease:
                if other is not None:
                    learned = warm_start(spec, other, made_with(folder), record)
                    observer.say(str(learned))
                    record.note(WARM, [*record.facts.get(WARM, []), *learned.rows])
                driver = _driver(spec, folder, record, request, observer)
                lease.lost = driver.stop
                return _drive(driver, resources, request, worker)


def _other_search(spec: SearchSpec, request: Request) -> SearchFolder | None:
    """The search to learn from, if there is one.

    Raises:
        UserError: It does not exist, or has another metric.
    """
    if request.warm_start is None:
        return None
    other = lying_in(locate_search(request.warm_start, request.out), study_url(request.study))
    check_metric(spec, other)
    return other


def _drive(driver: Driver, resources: TrialResources, request: Request, worker: type[TrialWorker] | None) -> Outcome:
    from tune.search.ray.adapters import TrialWorker
    from tune.search.ray.execution import execute

    try:
        with ending_in_order(driver):
            execute(driver, resources, request.root, worker or TrialWorker)
    except UserError:
        raise
    except Exception as error:
        path = driver.ledger.folder.path
        driver.stop(f"failed: {type(error).__name__}")
        write_whole(path / "error.log", last_lines(error, 200).encode())
        message = f"{path}: broken off by an error in Ray or in imagetune ({path / 'error.log'} holds it)"
        raise WorkError(f"{message}; what was recorded is safe: go on with --resume") from error
    finally:
        outcome = finish(driver)
    return outcome


def _open(spec: SearchSpec, folder: SearchFolder, split_hash: str, say: Callable[[str], None]) -> Record:
    """The record, begun where there is none; mended where a kill or a full disk cut it off."""
    objective = spec.search.objective
    if not folder.spec.is_file():
        write_search(folder, spec, {"split": split_hash, **versions(), **place_of(folder)})
    refuse_driven(folder, objective)
    repair(folder.journal, say)
    if not has_record(folder) and not any(folder.path.glob("trial_*")) and not folder.trials_table.is_file():
        return begin_record(folder, objective, say)
    return open_record(folder, objective, say)


def _driver(spec: SearchSpec, folder: SearchFolder, record: Record, request: Request, observer: Observer) -> Driver:
    target = _target(spec, folder, record, request)
    record.note("trials", target)
    record.note("state", {"state": "running", "reason": ""})
    settings, asha = spec.search, None
    if settings.scheduler.name == "asha":
        asha = Asha(settings.scheduler, spec.longest, settings.objective, spec.seed)
    check = Feasibility(spec, request.root)
    proposer = Proposer(spec.space, settings.sampler, spec.seed, settings.objective, check)
    return Driver(Ledger(spec, folder, record, proposer, asha, trials=target), observer)


def _target(spec: SearchSpec, folder: SearchFolder, record: Record, request: Request) -> int:
    """Trials in all: those recorded, plus the extension; unless another number is asked for than at the beginning."""
    asked = spec.search.trials
    recorded = int(record.facts.get("trials", asked))
    if request.extend is not None:
        return recorded + request.extend
    return recorded if asked == read_search(folder).search.trials else asked


def versions() -> dict[str, str]:
    """What results may depend on beside the experiment."""
    names = ("torch", "torchvision", "numpy", "ray", "optuna")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _resources_line(spec: SearchSpec, resources: TrialResources) -> str:
    auto = " (gpu: auto)" if spec.search.resources.gpu == "auto" else ""
    at_once = resources.at_once(spec.search.concurrent)
    return f"each trial reserves {resources.cpu:g} CPU and {resources.gpu:g} GPU{auto}; {at_once} at once"
