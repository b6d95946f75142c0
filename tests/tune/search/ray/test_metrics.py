"""What is known of a search on a cluster: its Prometheus metrics, and where its trials ran."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.tune.search.simulation import FIELDS, LOSS, SPACE, Simulation, falling, spec_of
from tune.record.status import Status
from tune.record.tables import trials_table
from tune.search.ray.metrics import ClusterMetrics
from tune.search.worker.messages import Report

Key = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[Key, float]:
    """The figures by name and tags."""
    found: dict[Key, float] = {}

    class Kept:
        def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
            self.name, self.keys = name, set(tag_keys)

        def set(self, value: float, tags: dict[str, str]) -> None:
            assert set(tags) == self.keys
            found[self.name, tuple(sorted(tags.items()))] = value

        def inc(self, value: float = 1.0, *, tags: dict[str, str]) -> None:
            self.set(found.get((self.name, tuple(sorted(tags.items()))), 0.0) + value, tags)

    for name in ("Gauge", "Counter"):
        monkeypatch.setattr(f"ray.util.metrics.{name}", Kept)
    return found


def test_a_searchs_figures_are_exported_under_its_name(tmp_path: Path, exported: dict[Key, float]) -> None:
    search = Simulation(spec_of(tmp_path), tmp_path / "s", observer=ClusterMetrics("mine"))
    search.run()
    search.driver.observer.over(search.ledger)
    ledger = search.ledger
    trials = {dict(tags)["status"]: value for (name, tags), value in exported.items() if name == "imagetune_trials"}
    assert len(trials) == len(Status)
    assert {status: count for status, count in trials.items() if count} == {str(k): v for k, v in ledger.counts.items()}
    assert exported["imagetune_epochs", (("search", "mine"),)] == ledger.epochs_spent
    best = min(epoch.values["val_loss"] for trial in ledger.trials.values() for epoch in trial.epochs)
    assert exported["imagetune_best", (("metric", "val_loss"), ("search", "mine"))] == best


def test_where_trials_run_is_recorded_with_their_epochs(tmp_path: Path) -> None:
    """Also of one that fails before its first epoch, and moved with a trial that goes on elsewhere."""

    def curve(trial: int, config: Any, epoch: int) -> Report:
        if trial == 3:
            return Report(end="failed", reason="no", node="b", gpu="1")
        report = falling(trial, config, epoch)
        return dataclasses.replace(report, node="a" if epoch < 3 or trial else "b", gpu="0,1" if trial == 2 else "")

    spec = spec_of(tmp_path, SPACE, "search.scheduler.name=none", "search.trials=5", "search.failures.retries=0")
    search = Simulation(spec, tmp_path / "s", curve)
    search.run()
    trials = search.record.trials()
    assert [trial.facts.get("node") for trial in trials] == ["b", "a", "a", "b", "a"]
    table = trials_table(trials, FIELDS, LOSS, search.folder)
    assert table["gpu"].tolist() == [pd.NA, pd.NA, "0,1", "1", pd.NA]
    written = search.folder.journal.read_text()
    assert written.count('"node"') == 6  # once a trial, and again for the one that moved
