"""Networks of one shape that differ in learning rate, momentum and seed, trained together on one GPU in several ways.

    python -m tests.benchmarks.many_at_once [--device cpu --tiny]

A step gathers its batch, computes gradients with cross entropy, and takes a step of SGD with momentum. All of it is
recorded in CUDA graphs, so that the host only starts them. Images are random, brighter the higher their class, so that
losses fall. The models have no dropout here, since the ways would draw different numbers. Every way must give the
losses of the first. On the CPU nothing is recorded and no table written: it checks the ways against each other.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks.many_trainings import (
    Training,
    Trials,
    new_stream,
    trials,
    unfolded_gradients,
    unfolded_weights,
    vmap_gradients,
)
from tests.benchmarks.rows import circumstances, write_rows
from tune.runs.versions import hardware
from tune.training.graph import BEFORE
from tune.training.precision import float32_on_gpu

BATCH_SIZES = {"mnist_cnn": 64, "simple_cnn": 128}
NETWORKS = (1, 8, 32)
CHECKED_STEPS = 20
REPEATS, STEPS, REPEAT_SECONDS = 5, 50, 0.4  # of a slow way, a repeat has fewer steps
LIMIT = 50.0
"""Seconds after which no other way is begun: the GPU may be lent for minutes."""


@dataclass
class Way:
    """Trainings, and what takes so many steps of all of them. Keeps what graphs use alive."""

    trainings: Sequence[Training]
    run: Callable[[int], None]

    def losses_of(self, steps: int) -> Tensor:
        """The losses (steps, N) of the first steps."""
        for training in self.trainings:
            training.reset()
        sums = []
        for _ in range(steps):
            self.run(1)
            sums.append(torch.cat([training.losses.reshape(-1) for training in self.trainings]))
        return torch.stack(sums).diff(dim=0, prepend=torch.zeros_like(sums[0])[None]).cpu()


def recorded(step: Callable[[], None], *, gpu: bool, lane: torch.cuda.Stream | None = None) -> Callable[[], None]:
    """The step as a graph, recorded on `lane`; on the CPU the step itself."""
    if not gpu:
        return step
    lane = lane or new_stream()
    with forked([lane]), torch.cuda.stream(lane):
        for _ in range(BEFORE):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=lane, capture_error_mode="thread_local"):
        step()
    return graph.replay


@contextmanager
def forked(lanes: Sequence[torch.cuda.Stream]) -> Iterator[None]:
    """Streams that begin after the current one, which goes on after them."""
    for lane in lanes:
        lane.wait_stream(torch.cuda.current_stream())
    yield
    for lane in lanes:
        torch.cuda.current_stream().wait_stream(lane)


def on(lanes: Sequence[torch.cuda.Stream], n: int) -> AbstractContextManager[Any]:
    """The n-th stream as the current one, if there are any."""
    return torch.cuda.stream(lanes[n]) if lanes else nullcontext()


def repeated(start: Callable[[], None]) -> Callable[[int], None]:
    """So many steps by one start each."""

    def run(steps: int) -> None:
        for _ in range(steps):
            start()

    return run


def in_turn(common: Trials) -> Way:
    """One network's steps after the other's: trials that follow each other."""
    trainings, gpu = common.alone(), common.images.is_cuda
    lane = new_stream() if gpu else None  # one for all: cuBLAS keeps memory for every stream
    runs = [repeated(recorded(training.step, gpu=gpu, lane=lane)) for training in trainings]

    def run(steps: int) -> None:
        for each in runs:
            each(steps)

    return Way(trainings, run)


def streams(common: Trials) -> Way:
    """A graph and a stream for each network, started in turn for every step."""
    trainings, lanes = common.alone(), common.lanes
    starts = [
        recorded(training.step, gpu=common.images.is_cuda, lane=lanes[n] if lanes else None)
        for n, training in enumerate(trainings)
    ]

    def once() -> None:
        for n, start in enumerate(starts):
            with on(lanes, n):
                start()

    def run(steps: int) -> None:
        with forked(lanes):
            repeated(once)(steps)

    return Way(trainings, run)


def branches(common: Trials) -> Way:
    """One graph with a branch for each network."""
    trainings, lanes = common.alone(), common.lanes

    def once() -> None:
        with forked(lanes):
            for n, training in enumerate(trainings):
                with on(lanes, n):
                    training.step()

    return Way(trainings, repeated(recorded(once, gpu=common.images.is_cuda)))


def vmapped(common: Trials) -> Way:
    """One graph of operations that torch has batched over the networks."""
    training = common.stacked(vmap_gradients, common.weights)
    return Way([training], repeated(recorded(training.step, gpu=common.images.is_cuda)))


def unfolded(common: Trials) -> Way:
    """One graph of batched matrix products."""
    training = common.stacked(unfolded_gradients, unfolded_weights(common.weights))
    return Way([training], repeated(recorded(training.step, gpu=common.images.is_cuda)))


WAYS: dict[str, Callable[[Trials], Way]] = {
    "in turn": in_turn,
    "streams": streams,
    "one graph, N branches": branches,
    "vmap": vmapped,
    "unfolded": unfolded,
}


def difference(losses: Tensor, expected: Tensor) -> float:
    """The largest relative one."""
    return float(((losses - expected) / expected).abs().max())


def seconds(way: Way, steps: int, *, gpu: bool) -> float:
    """Of one step of all networks, to the end of its work on the GPU."""
    if gpu:
        torch.cuda.synchronize()
    started = time.perf_counter()
    way.run(steps)
    if gpu:
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


def clean() -> None:
    """Free what an earlier way left, and begin to watch the GPU's memory."""
    gc.collect()
    torch.cuda.synchronize()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def measure(make: Callable[[Trials], Way], common: Trials, batch: int) -> tuple[dict[str, Any], Tensor]:
    """A way's figures, and its first losses."""
    gpu, n = common.images.is_cuda, len(common.rates)
    if gpu:
        clean()
    way = make(common)
    losses = way.losses_of(CHECKED_STEPS)
    once = seconds(way, 3, gpu=gpu)
    steps = max(3, min(STEPS, int(REPEAT_SECONDS / once)))
    taken = statistics.median(seconds(way, steps, gpu=gpu) for _ in range(REPEATS))
    figures = {
        "ms_per_step": round(1000 * taken, 4),
        "images_per_second": round(n * batch / taken),
        "steps": steps,
        "n": REPEATS,
        # Reserved, not allocated: a graph keeps its memory when nothing in it is in use.
        "peak_mib": round(torch.cuda.max_memory_reserved() / 2**20) if gpu else "",
    }
    return figures, losses


def compare(name: str, n: int, device: torch.device, sizes: dict[str, Any], ends: float) -> Iterator[dict[str, Any]]:
    """A row per way; a way that fails prints why and has none."""
    common = trials(name, n, device, **sizes)
    allowed = 1e-2 if device.type == "cuda" else 1e-8
    first: tuple[float, Tensor] | None = None
    for label, make in WAYS.items():
        if time.monotonic() > ends:
            print(f"{name} {n} {label}: left out, since {LIMIT:.0f} s are over", flush=True)
            continue
        try:
            figures, losses = measure(make, common, sizes["batch"])
        except Exception:
            print(f"{name} {n} {label}: failed", flush=True)
            print(traceback.format_exc(), flush=True)
            continue
        if label == "in turn":
            first = figures["ms_per_step"], losses
        apart = difference(losses, first[1]) if first else float("nan")
        row = {"model": name, "networks": n, "way": label, "batch": sizes["batch"], **figures}
        row |= {"ratio": round(first[0] / figures["ms_per_step"], 2) if first else "", "difference": f"{apart:.1e}"}
        print(
            f"{name:10} {n:2} {label:21} {row['ms_per_step']:9.3f} ms  {row['images_per_second']:>11,} images/s  "
            f"{row['ratio'] or '-':>5}x  {row['peak_mib'] or '-':>6} MiB  losses {losses[0].mean():.3f} to "
            f"{losses[-1].mean():.3f}, apart {apart:.1e}{'' if apart <= allowed else f': MORE THAN {allowed:.0e}'}",
            flush=True,
        )
        yield row


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the table."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--tiny", action="store_true", help="64 images of 8 x 8 pixels in batches of 8, 3 networks")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")  # read at CUDA's start; 8 queues would join streams
    gc.freeze()  # torch may collect garbage before each of the many recordings
    gpu = chosen.device.type == "cuda"
    ends = started + LIMIT if gpu else math.inf
    where = {**circumstances(), "hardware": hardware(torch.cuda.get_device_name() if gpu else None)}
    rows: list[dict[str, Any]] = []
    for name, batch in BATCH_SIZES.items():
        sizes = {"batch": 8, "count": 64, "shape": (1, 8, 8)} if chosen.tiny else {"batch": batch}
        try:
            for n in (3,) if chosen.tiny else NETWORKS:
                with float32_on_gpu(chosen.device):
                    rows.extend({**row, **where} for row in compare(name, n, chosen.device, sizes, ends))
        finally:  # after a broken GPU, too
            if gpu and rows and not chosen.tiny:
                print(f"wrote {write_rows('many_at_once', rows)}", flush=True)


if __name__ == "__main__":
    main()
