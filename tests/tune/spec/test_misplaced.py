"""A field in the wrong section: the error says where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune.spec.errors import SpecError
from tune.spec.reading.load import load_search

FILE = """
experiment:
  data: {name: digits}
  model: {name: mnist_mlr, epochs: 3}
  training: {epochs: 3, momentum: 0.9, label_smooth: 0.1}
space:
  training.optimizer.lr: {float: [0.001, 0.1]}
search:
  metric: val_loss
  max_t: 4
  epochs: 500
  n_startup_trials: 3
  constraints: {parameters: {max: 100}}
schedule: {name: cosine}
"""
MEANT = {
    "model.epochs": "training.epochs",
    "training.momentum": "training.optimizer.momentum",
    "training.label_smooth": "label_smoothing",  # in the same section: a slip of the pen
    "search.max_t": "search.scheduler.max_t",
    "search.epochs": "training.epochs",
    "search.constraints": "constraints",
    "schedule": "training.schedule",
}


def test_the_error_says_where_a_field_belongs(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(FILE, encoding="utf-8")
    with pytest.raises(SpecError) as raised:
        load_search(str(path), ["min_delta=3"])
    found = {problem.field: problem.message for problem in raised.value.problems}
    assert len(found) == len(MEANT) + 2
    for field, meant in MEANT.items():
        assert f"; did you mean {meant}? Valid " in found[field]
    assert "did you mean" not in found["search.n_startup_trials"]  # there is no such field anywhere
    assert "did you mean training.early_stopping.min_delta?" in found["min_delta"]
