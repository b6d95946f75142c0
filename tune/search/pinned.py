"""What is `auto` in a search, chosen when it is made: once for all trials, so that they can be compared."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import data
import models
from data.files import cores
from tune.errors import first_line
from tune.runs.auto import Choice, choose
from tune.search.feasible import middle
from tune.spec.dotted import get_dotted, with_values
from tune.spec.experiment import Experiment
from tune.spec.recipe import AUTO
from tune.spec.search import SearchSpec
from tune.training import InfeasibleError, prepare_process


def left_to_choose(base: Mapping[str, Any]) -> list[str]:
    """Which fields of `AUTO` are `auto` in the experiment of a search; earlier versions wrote null."""
    return [name for name in AUTO if get_dotted(base, f"training.{name}", "") in ("auto", None)]


def pinned(spec: SearchSpec, root: Path, say: Callable[[str], None] = lambda text: None) -> SearchSpec:
    """The search with the CPU threads and the precision of its trials spelled out.

    They are measured on this machine, with a model from the middle of the space. A trial with more CPUs than there are
    here has as many threads: it will run elsewhere.

    Args:
        spec: The search.
        root: The data directory.
        say: Called with what was chosen, and why.
    """
    auto = left_to_choose(spec.base)
    cpus = max(1, int(spec.search.resources.cpu))
    values: dict[str, Any] = {"threads": cpus} if "threads" in auto and not 1 < cpus <= cores() else {}
    if auto != [*values]:
        alone = {f"training.{name}": 1 for name in values}
        choice = _choice(dataclasses.replace(spec, base=with_values(spec.base, alone)), root, cpus, say)
        values = {name: getattr(choice, name) for name in auto} | values
    return dataclasses.replace(spec, base=with_values(spec.base, {f"training.{name}": values[name] for name in auto}))


def _choice(spec: SearchSpec, root: Path, most: int, say: Callable[[str], None]) -> Choice:
    """Measured in a process of its own, whose memory, and that of a GPU, does not stay in use for the whole search."""
    experiment = middle(spec, root)
    info = data.inspect(experiment.data.source, root)
    asked = experiment.model_dump_json(), info.input_shape, len(info.classes), spec.search.resources.gpu != 0, most
    try:
        with ProcessPoolExecutor(1, get_context("spawn"), initializer=_without_interrupts) as apart:
            choice = Choice.model_validate_json(apart.submit(_chosen, *asked).result())
    except (InfeasibleError, models.ModelError, RuntimeError) as error:  # the search itself may work all the same
        say(f"training: auto is 1 thread and float32, since nothing could be measured: {first_line(error)}")
        return Choice(threads=1, precision="float32")
    say(f"chosen for all trials: {choice.why}")
    return choice


def _without_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits


def _chosen(experiment: str, input_shape: tuple[int, int, int], classes: int, gpu: bool, most: int) -> str:
    """The other process."""
    prepare_process()  # as in the processes that train
    device = torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")
    return choose(Experiment.model_validate_json(experiment), input_shape, classes, device, most).model_dump_json()
