"""Searches that faults are injected into: a tiny space, its searches with a fault put in, and how they ended."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd

from tests.tune.search.faults.injections import INJECT
from tests.tune.search.processes import Started, start
from tests.tune.search.processes import finish as run_to_end

TINY = """
experiment:
  data: {name: digits, validation_fraction: 0.15}
  model: {name: classifier, cnn_layers: 2, fcn_layers: 1, starting_channels: 8, final_channels: 24}
  training: {epochs: 4, batch_size: 64, optimizer: {name: sgd}}
space:
  training.optimizer.lr: {float: [1e-3, 1], log: true}
  training.optimizer.momentum: {float: [0.1, 0.9]}
search:
  metric: val_loss
  trials: 5
  concurrent: 1
  scheduler: {name: asha, type: stopping, max_t: 4, grace_period: 1, reduction_factor: 3}
  sampler: {name: tpe}
  retention: {best: 3}
"""


def tiny(out: Path, text: str = TINY) -> Path:
    """The space as a file."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "tiny.yaml"
    path.write_text(text)
    return path


def begin(out: Path, *overrides: str, name: str = "s", fault: str = "worker:lingering", **options: Any) -> Started:
    """A tiny search with a fault put in, by default only slow epochs; on a folder that exists, its resume."""
    text = options.pop("text", TINY)
    return start(out, name, *overrides, space=tiny(options.pop("at", out), text), module=(INJECT, fault), **options)


def finish(out: Path, name: str = "s") -> Started:
    """Resume a tiny search without any fault, to its end."""
    return run_to_end(out, name, space=out / "tiny.yaml")


def killed_in_its_third_epoch(out: Path) -> None:
    """A tiny search whose driver has killed itself."""
    with begin(out, fault="epoch:3") as search:
        assert search.wait() == -signal.SIGKILL, search.said


def ended(search: Started, code: int = 0, seconds: float = 120) -> tuple[str, float]:
    """What was said to the end, with this exit code, and the seconds that took; a user sees lines, never a traceback."""
    began = time.monotonic()
    found = search.wait(seconds)
    said = search.said
    assert found == code, said
    assert "Traceback" not in said, said
    return said, round(time.monotonic() - began, 1)


def statuses(folder: Path) -> dict[int, str]:
    """Trial -> status."""
    table = pd.read_parquet(folder / "trials.parquet")
    return dict(zip(table["trial"], table["status"], strict=True))


def last_line(said: str) -> str:
    """What a search said last."""
    return said.strip().splitlines()[-1][:200]
