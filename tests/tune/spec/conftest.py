"""Specifications written to a file and loaded from there, and what is wrong with those that are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tune.spec import Experiment, SearchSpec, SpecError, load_experiment, load_search

JARGON = (
    "Input should",
    "pydantic",
    "validation error",
    "Traceback",
    "NoneType",
    "<class",
    "type=",
    "errors.",
    "Value error",
    "is invalid (",
)


@dataclass(frozen=True)
class Desk:
    """Writes a text to a file and loads it. In messages `FILE` stands for the file's path."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "made.yaml"

    def experiment(self, text: str, *overrides: str) -> Experiment:
        self.path.write_text(text, encoding="utf-8")
        return load_experiment(str(self.path), overrides, self.folder / "data")

    def search(self, text: str, *overrides: str, **options: Any) -> SearchSpec:
        self.path.write_text(text, encoding="utf-8")
        return load_search(str(self.path), overrides, self.folder / "data", **options)

    def refusal(self, load: Callable[..., object], text: str, *overrides: str) -> list[str]:
        """The lines that a user reads: each says one thing once, in plain words."""
        with pytest.raises(SpecError) as refused:
            load(text, *overrides)
        lines = str(refused.value).splitlines()
        assert len(lines) == len(refused.value.problems) == len(set(lines)) > 0
        assert not [line for line in lines for word in JARGON if word in line]
        assert all(line.isprintable() and len(line) < 700 for line in lines)
        assert refused.value.exit_code == 2
        return [line.replace(str(self.path), "FILE") for line in lines]

    def faults(self, load: Callable[..., object], text: str, *overrides: str) -> list[str]:
        """Where the problems are: `override: training.epochs`, `FILE: data`."""
        return [": ".join(line.split(": ")[:2]) for line in self.refusal(load, text, *overrides)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


EXPERIMENT = "data: {name: digits}\nmodel: {name: mnist_mlr}\n"
LR = "training.optimizer.lr: {float: [1e-4, 1e-2], log: true}"
OPTIMIZER = "training.optimizer.name: {choice: [adam, sgd]}"
MOMENTUM = "training.optimizer.momentum: {float: [0.8, 0.99], when: {training.optimizer.name: sgd}}"
MODELS = "model.name: {choice: [mnist_mlr, simple_cnn]}"


def search(*domains: str, model: str = "{name: classifier, cnn_layers: 3, fcn_layers: 2}", more: str = "") -> str:
    """A search of digits with these domains, one a line."""
    space = "".join(f"  {domain}\n" for domain in domains)
    return f"experiment:\n  data: {{name: digits}}\n  model: {model}\nspace:\n{space}{more}"
