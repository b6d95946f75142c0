"""Train in a separate process, so that its peak memory is that of this training alone."""

from __future__ import annotations

import json
import multiprocessing
import platform
import resource
import signal
from dataclasses import dataclass, fields, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import torch

from data import DataError
from data.untrusted import read_json
from tune.errors import UserError, WorkError
from tune.evaluation.evaluate import Say
from tune.files import write_whole
from tune.record.folder import RunFolder
from tune.record.observer import Observer
from tune.record.status import Status
from tune.runs.console import RunLines
from tune.runs.plan import RunPlan
from tune.runs.retrain import run_or_resume
from tune.spec import Experiment
from tune.training import End, Training, prepare_process

Images = Literal["uint8", "float16", "float32"]
"""The type that images are kept in while training."""


@dataclass(frozen=True)
class SubprocessResult:
    """A training in a separate process.

    Attributes:
        diverged: Whether it did.
        epoch_seconds: Of each epoch, validation included.
        peak_bytes: The most physical memory of the process, with the interpreter, its libraries, and the shared pages
            of mapped images; the maximum over processes if it was interrupted. None if it was trained otherwise.
        image_bytes: Of the training and validation images in memory, labels included; None likewise.
    """

    diverged: bool
    epoch_seconds: tuple[float, ...]
    peak_bytes: int | None
    image_bytes: int | None


def train_in_subprocess(plan: RunPlan, images: Images, root: Path, observer: Observer) -> SubprocessResult:
    """Train or resume a run in another process, which Ctrl-C ends too.

    Args:
        plan: What to train, and where.
        images: The type to keep the images in.
        root: The data directory, as torchvision's `root`.
        observer: Notified of everything.

    Raises:
        UserError, WorkError: As `run` does, also for bad data; or the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    rest = {field.name: getattr(plan, field.name) for field in fields(plan) if field.name != "experiment"}
    # Pydantic models that are created at run time cannot be pickled.
    experiment = json.dumps(plan.experiment.to_tree())
    process = context.Process(target=_train, args=(experiment, rest, images, root, theirs), daemon=True)
    with ours:
        process.start()
        theirs.close()
        try:
            outcome = _listen(ours, observer)
        except BaseException:
            process.kill()  # every epoch is saved before the next one begins
            raise
        finally:
            process.join()
    if outcome is None:
        raise WorkError(f"{plan.folder.path}: the training process ended with exit code {process.exitcode}")
    if isinstance(outcome, SubprocessResult):
        return outcome
    raise outcome


def _listen(connection: Connection, observer: Observer) -> SubprocessResult | UserError | None:
    """Pass lines on until the process ends; its outcome, None if it could not send one."""
    outcome: SubprocessResult | UserError | None = None
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return outcome
        if isinstance(message, str):
            observer.say(message)
        elif isinstance(message, SubprocessResult):
            outcome = message
        else:
            code, lines = message
            outcome = UserError(*lines) if code == UserError.exit_code else WorkError(*lines)


def _train(experiment: str, rest: dict[str, Any], images: Images, root: Path, connection: Connection) -> None:
    """The other process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process gets Ctrl-C too, and ends this one
    prepare_process()  # as `imagetune train` does
    plan = RunPlan(Experiment.model_validate_json(experiment), **rest)
    try:
        connection.send(train_here(plan, images, root, connection.send))
    except UserError as error:
        connection.send((error.exit_code, error.args))
    except DataError as error:
        connection.send((UserError.exit_code, error.args))
    except OSError as error:
        connection.send((WorkError.exit_code, (str(error),)))


def train_here(plan: RunPlan, images: Images, root: Path, say: Say) -> SubprocessResult:
    """As `train_in_subprocess`, in this process, whose memory is measured from its start."""
    result = run_or_resume(plan, root, _Witness(plan.folder, images, say))
    seconds = tuple(epoch.seconds for epoch in result.history)
    return SubprocessResult(result.end is End.DIVERGED, seconds, *_noted(plan.folder))


def _file(folder: RunFolder) -> Path:
    return folder.path / "memory.json"


def _noted(folder: RunFolder) -> tuple[int | None, int | None]:
    """Peak bytes and image bytes, as noted by the processes that trained this run."""
    try:
        found = read_json(_file(folder))
        return int(found["peak_bytes"]), int(found["image_bytes"])
    except (OSError, ValueError, TypeError, KeyError):
        return None, None


class _Witness(RunLines):
    """Keeps the images in another type, and notes the memory after each line."""

    def __init__(self, folder: RunFolder, images: Images, say: Say) -> None:
        super().__init__()
        self._folder, self._say = folder, say
        self._dtype = getattr(torch, images)
        self._images: int | None = None

    def say(self, text: str) -> None:
        """A line."""
        self._note()
        self._say(text)

    def training(self, name: str, training: Training, epochs: int) -> None:
        """Convert the images that are trained on, and note their size."""
        splits = training.splits
        validation = splits.validation and splits.validation.stored_as(self._dtype)
        training.splits = replace(splits, train=splits.train.stored_as(self._dtype), validation=validation)
        parts = [part for part in (training.splits.train, validation) if part is not None]
        # Count images that both parts share once.
        kept = {part.images.data_ptr(): part.resident_bytes for part in parts}
        self._images = sum(kept.values())
        super().training(name, training, epochs)

    def ended(self, trial: int | None, status: Status, reason: str) -> None:
        """Note the memory a last time."""
        self._note()

    def _note(self) -> None:
        if self._images is None:
            return
        before, _ = _noted(self._folder)
        found = {"peak_bytes": max(before or 0, peak_bytes()), "image_bytes": self._images}
        write_whole(_file(self._folder), json.dumps(found).encode())


def peak_bytes() -> int:
    """The most physical memory this process has used.

    On Linux from /proc, since `getrusage` includes what the parent used when it started this process.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if platform.system() == "Darwin" else 1024 * found
