"""What `auto` stands for in `training.threads` and `training.precision`: measured once for each model and machine."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch

from data.files import cache_folder, cores
from data.untrusted import read_json
from data.words import counted
from tune.files import write_whole
from tune.runs.versions import cpu_name
from tune.spec import Experiment
from tune.spec.base import Frozen
from tune.training import Training
from tune.training.precision import computes_bfloat16
from tune.training.speed import measurable, seconds_per_step

CLEARLY = {"threads": 1.25, "bfloat16": 1.2, "busy": 1.5}
"""How many times as fast more threads, or bfloat16, must be, since less may be noise; and how many times as long a step
of several threads may take, beside a busy process on every other core, as that of one thread alone.
"""

SLOW = "float32 (no instructions for bfloat16)"

Precision = Literal["float32", "bfloat16", "float16"]


class Choice(Frozen):
    """The threads and the precision of an experiment, and why, in words; empty where there was nothing to choose."""

    threads: int
    precision: Precision
    why: str = ""

    def applied(self, experiment: Experiment) -> Experiment:
        """The experiment with both of them."""
        values = {"threads": self.threads, "precision": self.precision}
        return experiment.model_copy(update={"training": experiment.training.model_copy(update=values)})


class _Kept(Frozen):
    """The content of a file: what was measured, where, and what was chosen."""

    measured: dict[str, Any]
    choice: Choice


def choose(
    experiment: Experiment, input_shape: tuple[int, int, int], classes: int, device: torch.device, most: int
) -> Choice:
    """The threads and the precision of an experiment, measured here where they are `auto`.

    The choice is kept in the user's cache folder, and measured again if its file is damaged or cannot be written.

    Args:
        experiment: What is to be trained.
        input_shape: (C, H, W) of its images, in pixels.
        classes: Their number.
        device: Where it is to be trained.
        most: CPU threads to choose at most.

    Raises:
        models.ModelError: The model cannot be built for these images.
        InfeasibleError: The configuration cannot be trained.
    """
    spec = experiment.training
    counts = list(_counts(most)) if spec.threads == "auto" else [spec.threads]
    precisions: list[Precision] = ["float32", "bfloat16"] if spec.precision == "auto" else [spec.precision]
    if unfit := spec.precision == "auto" and not computes_bfloat16(device):
        precisions.remove("bfloat16")
    if len(counts) == len(precisions) == 1:
        return Choice(threads=counts[0], precision=precisions[0], why=SLOW if unfit else "")
    measured = {
        "model": experiment.model.model_dump(mode="json"),
        "input_shape": list(input_shape),
        "classes": classes,
        "batch_size": spec.batch_size,
        "optimizer": spec.optimizer.name,
        "averaging": spec.averaging.name,
        "augment": [list(step) for step in experiment.data.augment],
        "threads": counts,
        "precisions": precisions,
        "precision": spec.precision,
        "clearly": CLEARLY,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu": f"{counted(cores(), 'core')} of {cpu_name()}",
        "torch": torch.__version__,
    }
    name = hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / "auto" / f"{name}.json"
    if (known := _known(path)) is not None and known.measured == measured:
        return known.choice
    choice = _measured(experiment, input_shape, classes, device, counts, precisions)
    if unfit:
        choice = choice.model_copy(update={"why": f"{choice.why}, {SLOW}"})
    with suppress(OSError):
        write_whole(path, _Kept(measured=measured, choice=choice).model_dump_json(indent=1).encode())
    return choice


def _counts(most: int) -> Iterator[int]:
    """1, 2, 4, ... and `most`."""
    count = 1
    while count < most:
        yield count
        count *= 2
    yield most


def _known(path: Path) -> _Kept | None:
    try:
        return _Kept.model_validate(read_json(path))
    except (OSError, ValueError):
        return None


def _measured(
    experiment: Experiment,
    input_shape: tuple[int, int, int],
    classes: int,
    device: torch.device,
    counts: Sequence[int],
    precisions: Sequence[Precision],
) -> Choice:
    """The precision with the fewest threads, then the threads with that precision."""
    options = [Choice(threads=counts[0], precision=precision) for precision in precisions]
    trainings = [measurable(option.applied(experiment), input_shape, classes, device) for option in options]
    best, why = 0, list[str]()
    if len(precisions) > 1:
        plain, other = seconds_per_step([(training, counts[0]) for training in trainings], device)
        best = int(plain / other >= CLEARLY["bfloat16"])
        told = f"{plain / other:.1f} times as fast as float32" if best else "bfloat16 is not clearly faster"
        why.append(f"{precisions[best]} ({told})")
    training, threads = trainings[best], counts[0]
    del trainings
    if len(counts) > 1:
        seconds = dict(zip(counts, seconds_per_step([(training, count) for count in counts], device), strict=True))
        for count in counts:
            threads = count if seconds[threads] / seconds[count] >= CLEARLY["threads"] else threads
        more = "more are not clearly faster"
        if threads > 1 and _seconds_if_busy(training, threads, device) > CLEARLY["busy"] * seconds[1]:
            threads, more = 1, "more are much slower beside other processes"
        told = f"{seconds[1] / seconds[threads]:.1f} times as fast as 1" if threads > 1 else more
        why.insert(0, f"{counted(threads, 'thread')} ({told})")
    return Choice(threads=threads, precision=precisions[best], why=", ".join(why))


def _seconds_if_busy(training: Training, threads: int, device: torch.device) -> float:
    """A step beside a busy process on every other core: threads that wait for each other wait for it too."""
    busy = [subprocess.Popen([sys.executable, "-ISc", "while True: pass"]) for _ in range(max(cores(), 2) - 1)]
    try:
        time.sleep(0.1)  # until they are
        return seconds_per_step([(training, threads)], device, typical=True)[0]
    finally:
        for process in busy:
            process.kill()
            process.wait()
