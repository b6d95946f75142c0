"""Train one experiment into a run folder: start it, continue it, or find it finished."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

import data
from data.words import counted
from tune.buckets.address import shown
from tune.errors import WorkError
from tune.files import fetch, probe
from tune.interruption import raise_if_interrupted
from tune.record.folder import RunFolder
from tune.record.observer import Observer, Observers
from tune.record.same_data import check_same_data, record_data
from tune.record.status import Status
from tune.runs.auto import choose
from tune.runs.console import RunLog, wrapped
from tune.runs.files import discard, keep, locked, refuse_taken, up_to_date
from tune.runs.info import RunInfo, read_run, write_run
from tune.runs.plan import RunPlan, continued, resolved
from tune.runs.versions import commit, hardware, today, versions
from tune.runs.weights import start_from
from tune.spec.data_spec import Normalization
from tune.spec.metric import METRICS, EpochMetrics, Objective
from tune.training import (
    End,
    Training,
    load,
    open_splits,
    out_of_memory,
    train,
)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a training. What is saved has been printed; the caller says how to continue."""


@dataclass(frozen=True)
class RunResult:
    """A run that has ended.

    Attributes:
        folder: The run's.
        end: Why it has ended.
        history: The metrics of its epochs.
        best: Those of the best epoch; None if there is none.
        parameters: Of the model.
        trained: Epochs trained by this call; 0 if the run was already finished.
    """

    folder: RunFolder
    end: End
    history: tuple[EpochMetrics, ...]
    best: EpochMetrics | None
    parameters: int
    trained: int


def run(plan: RunPlan, root: Path, observer: Observer, *, resume: bool = False) -> RunResult:
    """Train the plan's experiment to its end; every epoch is saved before the next one begins.

    Bad input is found before anything is written, and a new run that fails in its first epoch leaves no folder. On a
    CPU, a resumed run gives bitwise the same results as an uninterrupted one.

    Args:
        plan: What to train, and where.
        root: The data directory, as torchvision's `root`.
        observer: Notified of everything.
        resume: Continue the run in the folder, which must be of the same plan. It may have more epochs, unless its
            schedule depends on their number: the result is the same as with that many from the start.

    Raises:
        UserError: The folder is in use or belongs to another plan, the images have changed, or the weights do not fit.
        WorkError: The checkpoint is damaged, or memory ran out.
        data.DataError: The images cannot be read.
        Interrupted: Ctrl-C or SIGTERM; what was saved stays.
    """
    fetch(plan.folder.path)
    if resume:
        plan = continued(plan)
        # Before the images are split, which changed ones may not allow.
        spec, recorded = plan.experiment.data, read_run(plan.folder)[1].data
        check_same_data(
            plan.folder.path, recorded, data.identify(spec.source, root, observer.say), spec.path, observer.say
        )
    else:
        refuse_taken(plan.folder)
        probe(plan.folder.path)
        plan = dataclasses.replace(plan, experiment=resolved(plan.experiment))
    try:
        plan, training = _training(plan, root, observer)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise WorkError(
            f"{plan.folder.path}: out of memory before the first step; use a smaller model or fewer images"
        ) from error
    with locked(plan.folder):
        try:
            if resume:
                training.load(load(plan.folder.last))
                _note_changes(plan, training.splits.identity)
            before = len(training.history)
            if not resume or not up_to_date(plan.folder, training):
                keep(plan.folder, training, observer.say)
            if not resume:
                record_data(plan.folder.path, training.splits.identity)
                write_run(plan.folder, plan.experiment, _info(plan, training))
            end = training.end or _train(plan, training, observer)
        except Exception:
            if not resume and not training.history:
                discard(plan.folder)
            raise
    trained = len(training.history) - before
    return RunResult(plan.folder, end, tuple(training.history), training.best, _parameters(training), trained)


def best_device() -> torch.device:
    """A GPU if torch finds one (CUDA_VISIBLE_DEVICES hides it), else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _training(plan: RunPlan, root: Path, observer: Observer) -> tuple[RunPlan, Training]:
    """The training before its first epoch, and the plan without `auto`; raises if anything is wrong with the input."""
    device = best_device()
    splits = open_splits(plan.experiment.data, root, device, full=plan.full, say=observer.say)
    choice = choose(plan.experiment, splits.input_shape, len(splits.classes), device, torch.get_num_threads())
    plan = dataclasses.replace(plan, experiment=choice.applied(plan.experiment), why=choice.why)
    training = Training(
        plan.experiment, splits, device=device, objective=Objective(METRICS[plan.metric]), epochs=plan.epochs
    )
    if plan.weights is not None:
        start_from(training, plan.weights)
    return plan, training


def _note_changes(plan: RunPlan, identity: data.DataIdentity) -> None:
    """Write what is different from now on: more epochs, another `data.path`, or images recorded for the first time."""
    before, info = read_run(plan.folder)
    if plan.experiment != before or info.data != identity.digest:
        digest = record_data(plan.folder.path, identity)
        write_run(plan.folder, plan.experiment, info.model_copy(update={"data": digest}))


def _train(plan: RunPlan, training: Training, observer: Observer) -> End:
    folder, saved = plan.folder, len(training.history)
    with RunLog(folder.log) as log:
        told = Observers(observer, log)

        def report(metrics: EpochMetrics) -> None:
            nonlocal saved
            keep(folder, training, told.say)
            saved = metrics.epoch
            told.epoch(None, metrics)
            raise_if_interrupted()

        status, reason = Status.FAILED, "an error"
        try:
            told.training(folder.name, training, plan.last_epoch)
            for line in wrapped(f"chosen for this machine: {plan.why}") if plan.why else ():
                told.say(line)
            told.started(None, {}, saved)
            end = train(training, report, told.step)
            status, reason = (Status.DIVERGED if end is End.DIVERGED else Status.COMPLETED), str(end)
            return end
        except KeyboardInterrupt:
            status, reason = Status.WAITING, "interrupted"
            told.say(f"{folder.path}: interrupted; {saved} of {counted(plan.last_epoch, 'epoch')} saved")
            raise Interrupted from None
        except Exception as error:
            if not out_of_memory(error):
                raise
            status, size = Status.OUT_OF_MEMORY, plan.experiment.training.batch_size
            raise WorkError(f"{folder.path}: out of memory at training.batch_size={size}; try a smaller one") from error
        finally:
            told.ended(None, status, reason)


def _parameters(training: Training) -> int:
    return sum(parameter.numel() for parameter in training.model.parameters())


def _info(plan: RunPlan, training: Training) -> RunInfo:
    splits = training.splits
    device = splits.train.device
    return RunInfo(
        metric=plan.metric,
        mode=METRICS[plan.metric].goal,
        epochs=plan.epochs,
        full=plan.full,
        device=str(device),
        weights_from=shown(plan.weights.path) if plan.weights else None,
        input_shape=splits.input_shape,
        classes=splits.classes,
        normalization=Normalization(mean=splits.normalization.mean, std=splits.normalization.std),
        split_hash=splits.split_hash,
        parameters=_parameters(training),
        versions=versions(),
        hardware=hardware(torch.cuda.get_device_name(device) if device.type == "cuda" else None),
        commit=commit(),
        date=today(),
        data=splits.identity.digest,
        train_images=len(splits.train),
    )
