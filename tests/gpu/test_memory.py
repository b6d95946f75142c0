"""When the memory of a GPU runs out: what is said, and that it is free again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.gpu.trainings import GPU, splits_on, start
from tests.tune.runs.folders import Quiet, plan
from tune.errors import WorkError
from tune.runs.run import run
from tune.search.worker.devices import CUDA_CONTEXT, memory_fraction, trial_device
from tune.training import out_of_memory, process_broken

HUGE = ("model.conv_channels=[2048, 8]", "training.batch_size=1200", "data.train_limit=1200")
LIMIT = 800 * 2**20  # bytes


@pytest.fixture
def little_memory() -> Iterator[None]:
    """This process may take 800 MB of the GPU."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(LIMIT / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def taken() -> int:
    gc.collect()
    return torch.cuda.memory_allocated()


def test_a_run_says_at_which_batch_size_and_the_memory_is_free_again(little_memory: None, tmp_path: Path) -> None:
    run(plan(tmp_path, name="first"), tmp_path, Quiet())  # kernels are loaded, and cuBLAS takes its workspace
    before = taken()
    with pytest.raises(WorkError) as caught:
        run(plan(tmp_path, *HUGE, name="huge"), tmp_path, Quiet())
    assert "out of memory at training.batch_size=1200" in str(caught.value)
    assert out_of_memory(caught.value)
    assert process_broken(caught.value)
    del caught
    assert taken() - before < 40 * 2**20  # a workspace more, but no activations: one takes 600 MB
    assert run(plan(tmp_path, name="small"), tmp_path, Quiet()).trained == 3


def test_a_model_that_does_not_fit_is_told_too(little_memory: None, tmp_path: Path) -> None:
    torch.cuda.set_per_process_memory_fraction(50 * 2**20 / torch.cuda.get_device_properties(0).total_memory)
    with pytest.raises(WorkError, match="out of memory before the first step"):
        run(plan(tmp_path, "model.conv_channels=[512, 4000]", name="wide"), tmp_path, Quiet())  # 74 MB
    assert not (tmp_path / "out" / "wide").exists()


def test_a_training_leaves_nothing_on_the_gpu() -> None:
    start(GPU, "mnist_mlr").run_epoch()  # cuBLAS keeps a workspace
    before = taken()
    training = start(GPU, "simple_cnn", splits_on(GPU), averaging={"name": "ema"}, precision="float16")
    training.run_epoch()
    assert taken() > before
    del training
    assert taken() - before < 40 * 2**20  # more workspaces


def test_a_share_of_a_gpu_is_a_limit() -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        assert trial_device(0.02).type == "cuda"
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(int(total * memory_fraction(0.02, total)) + 2**21, dtype=torch.uint8, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_memory_that_every_process_takes_is_as_reckoned() -> None:
    """With its kernels loaded, a process takes what torch has reserved and at most `CUDA_CONTEXT` more, give or take."""
    start(GPU, "classifier", precision="bfloat16").run_epoch()
    gc.collect()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()
    print(f"beside what torch reserved, {beside / 2**20:.0f} MiB of the GPU are taken")
    assert beside < 2 * CUDA_CONTEXT
