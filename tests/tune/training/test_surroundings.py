"""Failures explained, seeds, and the memory a process keeps."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
import torch

from tune.environment import MALLOC, prepare_openmp, training_environment
from tune.optim.optimizers import OPTIMIZERS
from tune.training import (
    cpu_threads,
    last_lines,
    out_of_memory,
    seeded,
    stream_seed,
)


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:125] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), True),
        (MemoryError(), True),
        (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
        (ValueError("out of memory"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_which_errors_mean_that_memory_is_spent(error: BaseException, spent: bool) -> None:
    assert out_of_memory(error) is spent
    outer = RuntimeError("worker died")
    outer.__cause__ = error
    assert out_of_memory(outer) is spent


def test_torchs_own_allocator_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(caught.value)


def test_the_last_lines_of_a_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert last_lines(caught.value, 1) == "ZeroDivisionError: division by zero"
    assert last_lines(caught.value, 3).count("\n") == 2
    assert last_lines(caught.value, 100).startswith("Traceback")


def test_stream_seeds_are_fixed_for_ever() -> None:
    # Recorded experiments depend on these numbers.
    assert stream_seed(0, "model") == 8827807798615342718
    assert stream_seed(0, "epoch", 1) == 1744888131229309620
    seeds = {stream_seed(seed, use, n) for seed in range(20) for use in ("epoch", "batches") for n in range(20)}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_is_borrowed() -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    with seeded(5, torch.device("cpu")):
        one = torch.rand(3)
    with seeded(5, torch.device("cpu")):
        assert torch.equal(torch.rand(3), one)
    assert torch.equal(torch.rand(2), expected)


def test_threads_are_borrowed() -> None:
    with cpu_threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1


FAULTS = """
import resource, torch
from tune.training.process import keep_freed_memory
kept = keep_freed_memory() if {keep} else None
def step(): torch.zeros(12_000_000)
step(); step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

# Ten steps touch these pages ten times if they are handed back: 48 MB are more than glibc ever keeps by itself. Small
# objects that come to lie between the tensors make the heap grow a few times before the next fits.
MOST_FAULTS = 5 * 48_000_000 // resource.getpagesize()
THREADED = """
import threading
alone = step
def step():
    thread = threading.Thread(target=alone)
    thread.start()
    thread.join()
step(); step()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_freed_memory_is_kept() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS.format(keep=True)], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    if kept == "False":
        pytest.skip("this C library is not glibc")
    assert int(faults) < MOST_FAULTS


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the variables are glibc's")
def test_the_environment_does_the_same_for_other_threads() -> None:
    script = FAULTS.format(keep=False).replace("step(); step()", THREADED)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ | MALLOC
    )
    assert int(done.stdout.split()[1]) < MOST_FAULTS


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_the_user_decides_how_threads_wait(
    given: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # remembered, so that it is as before after the test
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert training_environment().get("GOMP_SPINCOUNT") == expected
    prepare_openmp()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
    assert training_environment().get("GOMP_SPINCOUNT") == expected
    assert MALLOC.items() <= training_environment().items()


STEPS = """
import sys, torch
from torch import nn
from tune.optim.optimizers import OPTIMIZERS
from tune.training import prepare_process
if {prepared}:
    prepare_process()
fields = dict(sgd=dict(momentum=.9, nesterov=True), adam=dict(amsgrad=False), adamw=dict(amsgrad=True), muon=dict(momentum=None))
for name, build in OPTIMIZERS.items():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
    optimizer = build(model, torch.device("cpu"), lr=.01, weight_decay=.1, **fields[name])
    for step in range(3):
        optimizer.zero_grad()
        model(torch.rand(16, 8)).square().mean().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    print(name, [float(parameter.detach().sum()).hex() for parameter in model.parameters()])
print("torch._dynamo" in sys.modules, file=sys.stderr)
"""


def test_optimizers_do_the_same_without_torchs_compiler() -> None:
    ended = [
        subprocess.run(
            [sys.executable, "-c", STEPS.format(prepared=prepared)], capture_output=True, text=True, check=True
        )
        for prepared in (True, False)
    ]
    assert ended[0].stdout == ended[1].stdout
    assert len(ended[0].stdout.splitlines()) == len(OPTIMIZERS)
    assert [each.stderr for each in ended] == ["False\n", "True\n"]
