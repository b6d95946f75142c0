"""Shares of a GPU, on a machine that need not have one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tune.search.worker.devices import CUDA_CONTEXT, memory_fraction, trial_device

GIGABYTE = 2**30


@pytest.mark.parametrize("total", [2 * GIGABYTE, 8 * GIGABYTE, 80 * GIGABYTE])
@pytest.mark.parametrize("trials", [2, 3, 4, 8])
def test_shares_and_what_each_process_takes_for_itself_fit_into_a_gpu(total: int, trials: int) -> None:
    fraction = memory_fraction(1 / trials, total)
    assert 0 < fraction < 1 / trials
    if total / trials >= 2 * CUDA_CONTEXT:
        assert trials * (fraction * total + CUDA_CONTEXT) == pytest.approx(total)


@pytest.mark.parametrize(("gpu", "limited"), [(0.0, False), (0.25, True), (0.5, True), (1.0, False), (2.0, False)])
def test_only_a_trial_that_shares_a_gpu_is_limited(monkeypatch: pytest.MonkeyPatch, gpu: float, limited: bool) -> None:
    fractions: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=80 * GIGABYTE))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", fractions.append)
    assert trial_device(gpu).type == ("cuda" if gpu else "cpu")
    assert len(fractions) == limited
    assert all(0.9 * gpu < fraction < gpu for fraction in fractions)
