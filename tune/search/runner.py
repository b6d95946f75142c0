"""Run a search: start it or resume it, let Ray run its trials, stop cleanly whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from tune.errors import UserError, WorkError
from tune.files import write_whole
from tune.record.as_optuna import quiet_optuna
from tune.record.folder import SearchFolder, locate_search
from tune.record.observer import Observer, Observers
from tune.record.opening import OpenSearch, Search, drive_search, read_search
from tune.record.same_data import check_same_data, record_data, recorded_data
from tune.record.search_yaml import made_with, with_study_if_used
from tune.record.status import Status
from tune.record.storage.url import study_url
from tune.runs.versions import versions
from tune.search.control.settings import in_force
from tune.search.driver import Driver
from tune.search.feasible import Feasibility, Latencies
from tune.search.ledger import SETTINGS, Ledger
from tune.search.loggers.observer import HURRY, logging
from tune.search.ray.address import find_cluster
from tune.search.ray.cluster import connected
from tune.search.ray.metrics import ClusterMetrics
from tune.search.ray.nodes import NodeImages
from tune.search.ray.resources import TrialResources, trial_resources
from tune.search.request import Request, resolve
from tune.search.samplers import sampler_of
from tune.search.samplers.proposer import Proposer
from tune.search.schedulers import scheduler_of
from tune.search.shutdown import INTERRUPTED, Outcome, finish, stopping_on, stopping_on_signals
from tune.search.warm_start import WARM, check_metric, warm_start
from tune.spec.search import SearchSpec
from tune.training import Splits, last_lines, open_splits

if TYPE_CHECKING:
    from tune.search.ray.trial_worker import TrialWorker


def run_search(request: Request, observer: Observer, worker: type[TrialWorker] | None = None) -> Outcome:
    """Run a search to its end, or to the end of its budget, or until it is interrupted.

    Raises:
        UserError: bad input; nothing was written.
        WorkError: the record is damaged beyond repair, or Ray broke down.
    """
    spec, folder = resolve(request, observer.say)
    other = _other_search(spec, request)
    cluster = find_cluster(request.address)
    splits = open_splits(spec.sample.data, request.root, torch.device("cpu"), say=observer.say)
    if request.continues:
        _check_images(folder, spec, splits, observer.say)

    def begin() -> dict[str, Any]:
        digest = record_data(folder.path, splits.identity)
        images = {"input_shape": list(splits.input_shape), "classes": list(splits.classes)}
        return {"data": digest, "split": splits.split_hash, **images, **versions("ray", "optuna")}

    loggers = logging(spec.search.loggers, folder, spec.search.objective, observer)
    with loggers as (observer, logs), connected(cluster), quiet_optuna():
        resources = trial_resources(spec.search.resources)
        images = None
        if cluster is not None:
            observer = Observers(observer, ClusterMetrics(folder.name))
            images = _images_on_nodes(spec, request, splits, resources, observer)
        with drive_search(folder, spec, begin, observer.say, resume=request.continues) as search:
            if other is not None:
                learned = warm_start(spec, other, made_with(folder), search.record)
                observer.say(str(learned))
                search.record.note(WARM, [*search.record.facts.get(WARM, []), *learned.rows])
            driver = _driver(search, request, observer)
            observer.say(resources.described(driver.ledger.spec.search))
            search.lease.on_lost = driver.stop
            outcome = _drive(driver, resources, request, worker, images)
            if outcome.state == INTERRUPTED:
                logs.patience = HURRY
            return outcome


def _images_on_nodes(
    spec: SearchSpec, request: Request, splits: Splits, resources: TrialResources, observer: Observer
) -> NodeImages:
    """Which nodes of a cluster have the images, before the first trial and when nodes join.

    Raises:
        SpecError: None has.
    """
    images = NodeImages(spec, request.root, splits.identity.digest, observer.say)
    images.check(resources.holding())
    resources.usable = images.among
    resources.look()
    return images


def _check_images(folder: SearchFolder, spec: SearchSpec, splits: Splits, say: Callable[[str], None]) -> None:
    """Refuse to continue a search on other images than those it was started with.

    Raises:
        UserError: They have changed; says how.
    """
    path = spec.sample.data.path
    check_same_data(folder.path, recorded_data(folder), splits.identity, path, say)
    if made_with(folder).get("split", splits.split_hash) != splits.split_hash:  # all that older searches recorded
        where = path or spec.sample.data.name
        raise UserError(f"{folder.path}: the images in {where} are not the ones it was started with; restore them")


def _other_search(spec: SearchSpec, request: Request) -> Search | None:
    """The search to learn from, if there is one.

    Raises:
        UserError: It does not exist, or has another metric.
    """
    if request.warm_start is None:
        return None
    other = read_search(with_study_if_used(locate_search(request.warm_start, request.out), study_url(request.study)))
    check_metric(spec, other)
    return other


def _drive(
    driver: Driver,
    resources: TrialResources,
    request: Request,
    worker: type[TrialWorker] | None,
    images: NodeImages | None,
) -> Outcome:
    from tune.search.ray.execution import execute
    from tune.search.ray.health import ray_failure
    from tune.search.ray.trial_worker import TrialWorker

    with stopping_on_signals(driver), stopping_on(ray_failure, driver):
        try:
            execute(driver, resources, request.root, worker or TrialWorker, images)
        except UserError:
            finish(driver)
            raise
        except Exception as error:
            driver.stop(f"failed: {type(error).__name__}")
            log = driver.ledger.folder.path / "error.log"
            with suppress(OSError):
                write_whole(log, last_lines(error, 200).encode(errors="backslashreplace"))
            finish(driver)
            raise WorkError(
                f"{log.parent}: aborted by an error in Ray or imagetune ({type(error).__name__}); see {log}; "
                "use --resume to continue from what was recorded"
            ) from error
        return finish(driver)


def _driver(search: OpenSearch, request: Request, observer: Observer) -> Driver:
    spec, record = search.spec, search.record
    given = [text.partition("=")[0].removeprefix("experiment.") for text in request.settings]
    trials = _target(search, request, given)
    spec = in_force(spec, search.started, record.facts.get(SETTINGS, {}), given)
    record.note("trials", trials)
    answered = (record.facts.get("state") or {}).get("request")  # the last request to stop, which must not count twice
    record.note("state", {"state": "running", "reason": "", "request": answered})
    scheduler = scheduler_of(spec)
    sampler = sampler_of(spec, scheduler, observer.say)
    check = Feasibility(spec, request.root, Latencies(record))
    proposer = Proposer(spec.space, sampler, spec.seed, check, lambda: check.why_not)
    driver = Driver(Ledger(spec, search.folder, record, proposer, scheduler, trials=trials), observer)
    if request.extend is not None:
        driver.enough.lift()
    return driver


def _target(search: OpenSearch, request: Request, given: list[str]) -> int:
    """Trials in all, without those added by hand: as recorded, unless another number is asked for.

    An extension adds to the trials that there are where fewer were asked for meanwhile.

    Args:
        search: The search.
        request: The arguments.
        given: The dotted names on the command line.
    """
    asked = search.spec.search.trials
    recorded = int(search.record.facts.get("trials", asked))
    if request.extend is None and asked == search.started.search.trials and "search.trials" not in given:
        return recorded
    trials = search.record.trials()
    if request.extend is None:
        return max(asked - sum(trial.added_by_hand for trial in trials), 0)
    drawn = sum(not trial.added_by_hand and trial.status is not Status.INFEASIBLE for trial in trials)
    return max(recorded, drawn) + request.extend
