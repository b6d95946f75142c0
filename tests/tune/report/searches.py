"""Searches for the tests of reports: in memory, or as folders, with made-up curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from search_spaces import Config
from tests.tune.runs.folders import curve
from tune.record.folder import RunFolder, SearchFolder
from tune.record.opening import Search, open_record
from tune.record.search_yaml import write_spec
from tune.record.status import Status
from tune.record.trial import TrialRecord
from tune.spec import load_search

SPACE = """
experiment:
  data: {name: digits, train_limit: 300}
  model: {name: simple_cnn, conv_channels: [4]}
  training: {epochs: 4, batch_size: 64, threads: 1}
space:
  model.hidden_dim: {int: [8, 32]}
  training.optimizer.lr: {float: [1e-4, 1e-1], log: true}
  training.optimizer.name: {choice: [adam, sgd]}
  training.optimizer.momentum: {float: [0.8, 0.99], when: {training.optimizer.name: sgd}}
search: {metric: val_loss, trials: 4, scheduler: {name: asha, max_t: 4, grace_period: 1}}
"""
VAE = """
experiment:
  data: {name: digits}
  model: {name: vae}
  training: {epochs: 2}
space:
  training.optimizer.lr: {float: [1e-4, 1e-1], log: true}
search: {metric: val_loss, trials: 4, scheduler: {name: none}}
"""


@dataclass
class Made:
    """A trial of a made-up search; fields that are not given have the same value in all trials."""

    losses: Sequence[float] = ()
    status: Status = Status.COMPLETED
    reason: str = ""
    config: Config = field(default_factory=dict)

    @property
    def whole(self) -> Config:
        """A configuration of `SPACE`."""
        fixed = {"model.hidden_dim": 16, "training.optimizer.lr": 0.003, "training.optimizer.name": "adam"}
        return {**fixed, **self.config}


def spec_of(path: Path, text: str = SPACE) -> Any:
    """The specification of a space."""
    file = path / "space.yaml"
    file.write_text(text, encoding="utf-8")
    return load_search(str(file))


def in_memory(path: Path, trials: Sequence[Made], text: str = SPACE) -> Search:
    """A finished search that has no record."""
    records = tuple(
        TrialRecord(number, made.whole, made.status, made.reason, tuple(curve(made.losses)), {"parameters": 1000})
        for number, made in enumerate(trials)
    )
    folder, spec = SearchFolder(path / "search"), spec_of(path, text)
    folder.path.mkdir(exist_ok=True)
    write_spec(folder, spec, {})
    return Search(folder, spec.search, tuple(spec.space.domains), {}, records, False)


def on_disk(path: Path, trials: Sequence[Made], text: str = SPACE, study: str | None = None) -> SearchFolder:
    """A search as a driver leaves it."""
    folder, spec = SearchFolder(path / "search", study), spec_of(path, text)
    folder.path.mkdir()
    write_spec(folder, spec, {"data": "0123", "split": "4567", "torch": "2.14.1"})
    record = open_record(folder, spec.search.objective, create=True)
    for made in trials:
        config = {name: value for name, value in made.whole.items() if name in spec.space.domains}
        number = record.add(spec.space, config, {"parameters": 1000})
        if made.status is not Status.WAITING:
            record.start(number)
        for metrics in curve(made.losses):
            record.epoch(number, metrics)
        if made.status.ended:
            record.end(number, made.status, made.reason)
    record.close()
    return folder


def scores(counts: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, Any]:
    """An `evaluation.json` of these confusions; nothing in it is measured."""
    bins = [{"low": 0.5, "high": 1.0, "n": 3, "confidence": 0.9, "accuracy": 0.8}]
    part = {"loss": 0.2, "expected_calibration_error": 0.1, "bins": bins}
    rows = [
        {"name": name, "n": sum(row), **dict.fromkeys(("accuracy", "recall", "f1"), 0.9 if sum(row) else None)}
        | {"precision": 0.8}
        for name, row in zip(names, counts, strict=True)
    ]
    pairs = [
        {"truth": names[i], "predicted": names[j], "n": n, "share": n / sum(row)}
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
        if i != j and n
    ]
    whole = {
        "split": "test",
        "n": sum(map(sum, counts)),
        "loss": 0.2,
        "accuracy": 0.9,
        "accuracy_interval": [0.8, 0.95],
    }
    return {
        **whole,
        "macro_f1": 0.9,
        "top5_accuracy": None,
        "expected_calibration_error": 0.1,
        "calibration": {"temperature": 1.5, "fitted_on": 10, "before": part, "after": part},
        "per_class": rows,
        "most_confused": pairs,
        "confusion": [list(row) for row in counts],
    }


def evaluated(folder: SearchFolder, name: str, found: dict[str, Any], *pictures: str) -> RunFolder:
    """A winner with this `evaluation.json` and these figures."""
    run = RunFolder(folder.winners / name)
    run.figures.mkdir(parents=True)
    run.evaluation.write_text(json.dumps(found), encoding="utf-8")
    for picture in pictures:
        Image.new("RGB", (64, 32), "teal").save(run.figures / f"{picture}.png")
    return run
