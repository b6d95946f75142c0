"""Small trainings on the bundled digits: 80 to 1,150 real images of 8 x 8 pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tune.spec.experiment import Experiment
from tune.training import Splits, Training, open_splits

Make = Callable[..., Experiment]
Start = Callable[..., Training]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make() -> Make:
    """An experiment on digits: `make(model={...}, data={...}, seed=1, epochs=3, optimizer={...})`."""

    def experiment(
        *, model: dict[str, Any] | None = None, data: dict[str, Any] | None = None, seed: int = 0, **training: Any
    ) -> Experiment:
        tree = {
            "data": {"name": "digits", "validation_fraction": 0.1, "train_limit": 100, **(data or {})},
            "model": model or {"name": "mnist_mlr"},
            "training": {"epochs": 4, "batch_size": 32, **training},
            "seed": seed,
        }
        return Experiment.model_validate(tree)

    return experiment


@pytest.fixture(scope="session")
def splits_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Experiment], Splits]:
    root = tmp_path_factory.mktemp("data")
    return lambda experiment: open_splits(experiment.data, Path(root), torch.device("cpu"))


@pytest.fixture(scope="session")
def start(make: Make, splits_of: Callable[[Experiment], Splits]) -> Start:
    """A training of `make(...)`, or of the experiment given; `options` go to `Training`."""

    def training(
        experiment: Experiment | None = None, options: dict[str, Any] | None = None, **fields: Any
    ) -> Training:
        experiment = experiment or make(**fields)
        return Training(experiment, splits_of(experiment), device=torch.device("cpu"), **(options or {}))

    return training
