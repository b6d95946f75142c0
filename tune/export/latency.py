"""Measure the latency of a classifier."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import models
from tune.evaluation.classification import Classifier
from tune.evaluation.evaluate import Say
from tune.evaluation.inference import PixelInput
from tune.evaluation.timing import Latency, measure_latency
from tune.export.exported import exported_file, is_exported, open_exported
from tune.export.onnx_model import OnnxClassifier, require_onnx, to_onnx
from tune.record.folder import locate_run
from tune.runs.weights import TrainedRun, open_run
from tune.training import autocast, cpu_threads

BATCHES = (1, 64)


@dataclass(frozen=True)
class LatencyRow:
    """How long a model takes for a batch, on the CPU, from pixels to logits.

    Attributes:
        run: The run or the exported file, as it was given.
        runtime: `torch` (as the run is evaluated, in its precision) or `onnxruntime`; `torch.export` for a .pt2 file.
        batch: Images per call.
        threads: CPU threads.
        median_ms: Of all calls.
        p95_ms: What 95 % of the calls do not exceed.
        images_per_second: At the median.
        calls: Their number.
    """

    run: str
    runtime: str
    batch: int
    threads: int
    median_ms: float
    p95_ms: float
    images_per_second: float
    calls: int


@dataclass(frozen=True)
class _Timed:
    """A model that can be timed: its runtime, its input, and how to open it for a number of threads."""

    runtime: str
    input_shape: tuple[int, int, int]
    open: Callable[[int], Classifier]


def latencies(names: Sequence[str], out: Path, say: Say, *, seconds: float = 1.0) -> list[LatencyRow]:
    """Time runs and exported files with batches of 1 and 64 images, with one CPU thread and with all.

    Args:
        names: Runs, as folders or names below `out`, and files that `imagetune export` wrote.
        out: The folder for runs.
        say: Called with a line about the progress.
        seconds: Per measurement, at least.

    Raises:
        UserError: A run or file does not exist or has no weights, or packages are missing.
        WorkError: One is damaged.
    """
    require_onnx()
    timed = [(name, model) for name in names for model in _models(name, out, say)]
    threads = sorted({1, _cores()})
    rows = []
    for name, model in timed:
        say(f"timing {name} with {model.runtime}")
        for count in threads:
            with cpu_threads(count):
                classify = model.open(count)
                for batch in BATCHES:
                    images = torch.randint(0, 256, (batch, *model.input_shape), dtype=torch.uint8)
                    rows.append(_row(name, model, count, batch, measure_latency(classify, images, seconds=seconds)))
    return rows


def _row(name: str, model: _Timed, threads: int, batch: int, found: Latency) -> LatencyRow:
    _, median, _ = found.quartiles
    return LatencyRow(name, model.runtime, batch, threads, median, found.p95, 1000 * batch / median, found.calls)


def _models(name: str, out: Path, say: Say) -> Iterator[_Timed]:
    if is_exported(name):
        path = exported_file(name)
        runtime = "onnxruntime" if path.suffix.lower() == ".onnx" else "torch.export"
        shape = open_exported(path).input_shape
        yield _Timed(runtime, shape, lambda threads: open_exported(path, threads).classify)
        return
    run = open_run(locate_run(name, out), torch.device("cpu"))
    yield _Timed("torch", run.info.input_shape, lambda threads: _in_torch(run))
    if models.get(run.experiment.model.name).task == "classification":
        content = to_onnx(run)
        yield _Timed("onnxruntime", run.info.input_shape, lambda threads: OnnxClassifier(content, threads))
    else:
        say(f"{name}: only classifiers can be exported to ONNX, so it is timed with torch alone")


def _in_torch(run: TrainedRun) -> Classifier:
    """The run's model in its precision, with the threads that torch is set to."""
    network = PixelInput(run.model, run.info.normalization).eval()

    def apply(pixels: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(run.experiment.training, pixels.device):
            return network(pixels)  # type: ignore[no-any-return]

    return apply


def _cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
