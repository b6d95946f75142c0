"""The searches that methods are compared on: spaces, learning curves, and the losses that are to be reached.

Three kinds. A *surrogate* predicts the curves of small networks on one of 34 data sets (the LCBench scenario of YAHPO Gym,
Apache-2.0; `model.onnx`, which is no part of this project). A *table* holds the curves of networks that were really
trained (`curve_tables.py`); there, a proposal stands for the configuration that has not been tried and behaves most like
it: the nearest one in the length scales of a Gaussian process fitted to the whole table. Without them, where a field that
does not matter moves a proposal as far as the learning rate, losses of proposals and of what stood for them had a rank
correlation of .4 to .6; with them, .9. In a *live* search the proposals themselves are trained, in the space of a table
and with its targets: a table has no more than a few configurations in the region that a sampler finds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces import Config, Space, config_key, parse_space
from tests.benchmarks.rows import RESULTS
from tune.search.samplers.encoding import Encoding
from tune.search.samplers.gaussian_process import GaussianProcess
from tune.search.samplers.gp import scaled
from tune.spec import load_search
from tune.spec.files import read_tree
from tune.spec.metric import METRICS, Objective

SURROGATE = Path(__file__).parents[3] / "shared" / "reference" / "lcbench" / "model.onnx"
SURROGATES = tuple(number for number in range(1, 36) if number != 4)
DEVELOPMENT = (1, 3, 5, 6, 8, 10, 13, 15, 18, 20, 23, 25, 28, 30, 33)
"""The surrogates that samplers may be tuned on; the others are for judging."""

CAP = 1500
"""Epochs after which a search counts as one that did not reach its target."""

LARGEST = 400
"""Rows that the process of a table is fitted to, at most: its time grows with their number to the third power."""

TABLES = Path(__file__).with_name("tables")
QUANTILES = (0.01, 0.002)
"""The targets: the losses that the best 1 % and the best .2 % of random configurations reach."""

LCBENCH = {
    "batch_size": {"int": [16, 512], "log": True},
    "learning_rate": {"float": [1e-4, 1e-1], "log": True},
    "momentum": {"float": [0.1, 0.99]},
    "weight_decay": {"float": [1e-5, 1e-1]},
    "num_layers": {"int": [1, 5]},
    "max_units": {"int": [64, 1024], "log": True},
    "max_dropout": {"float": [0.0, 1.0]},
}


@dataclass
class Problem:
    """Configurations whose curves of validation losses are known.

    Attributes:
        name: As given on the command line.
        space: What is searched.
        epochs: Of a whole curve.
        goals: The losses to reach, as in `QUANTILES`.
        curve: The losses of a configuration after each epoch, up to the end or to the first that is not finite.
        rows: The configurations of a table; empty for a surrogate, which has all of the space.
    """

    name: str
    space: Space
    epochs: int
    goals: tuple[float, ...]
    curve: Callable[[Config], Sequence[float]]
    rows: tuple[Config, ...] = ()

    def __post_init__(self) -> None:
        self._encoding, self._scales = Encoding(self.space), np.ones(1)
        self._points = self._features(self.rows)
        if self.rows:
            some = slice(None, None, -(-len(self.rows) // LARGEST))
            curves = [self.curve(row) for row in self.rows[some]]
            self._scales = length_scales(self._points[some], curves, self.epochs)
            self._points = self._points / self._scales

    def place(self, config: Config, taken: set[str]) -> Config | None:
        """The configuration that a proposal stands for: the nearest whose key is not `taken`; None if none is left."""
        if not self.rows:
            return config
        distances = ((self._points - self._features([config])) ** 2).sum(axis=1)
        ordered = (self.rows[index] for index in np.argsort(distances, kind="stable"))
        return next((row for row in ordered if config_key(row) not in taken), None)

    @property
    def trials(self) -> int:
        """How many configurations can be tried."""
        return len(self.rows) or CAP

    def _features(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        return self._encoding.features(self._encoding.snap(self._encoding.points(configs))) / self._scales


def length_scales(features: NDArray[np.float64], curves: Sequence[Sequence[float]], epochs: int) -> NDArray[np.float64]:
    """How far each feature (N x D) must move to change the losses at the end and at a third of it; one each (D)."""
    inputs, losses = [], []
    for epoch in (epochs // 3, epochs):
        inputs.append(np.column_stack([features, np.full(len(features), epoch / epochs)]))
        losses += [min(curve[:epoch]) if len(curve) >= epoch else np.inf for curve in curves]
    process = GaussianProcess.fit(np.vstack(inputs), scaled(np.array(losses), Objective(METRICS["val_loss"])))
    return process.scales[:-1]


def problem(name: str) -> Problem:
    """A surrogate by its number, a table by its name, or the search of a table with real training by `live-NAME`.

    Raises:
        FileNotFoundError: its model or its table is not there.
    """
    if name.startswith("live-"):
        return live(name.removeprefix("live-"))
    return surrogate(int(name)) if name.isdigit() else table(name)


def surrogate(number: int) -> Problem:
    """One data set of LCBench."""
    space, _ = parse_space(LCBENCH, {})
    return Problem(
        str(number), space, 51, _goals(number), lambda config: list(map(float, _predict(number, [config])[0]))
    )


@cache
def _goals(number: int) -> tuple[float, ...]:
    """From 2,000 random configurations."""
    source, (space, _) = random.Random(7), parse_space(LCBENCH, {})
    best = [_predict(number, [space.draw(source) for _ in range(500)]).min(axis=1) for _ in range(4)]
    return tuple(float(np.quantile(np.concatenate(best), share)) for share in QUANTILES)


def _predict(number: int, configs: Sequence[Config]) -> NDArray[np.float32]:
    """Validation cross-entropies (configurations x 51). The first epoch of the model is before training: left out."""
    inputs = np.empty((len(configs), 51, 8), np.float32)
    inputs[:, :, 0] = np.arange(2, 53)
    inputs[:, :, 1:] = np.array([[config[name] for name in LCBENCH] for config in configs])[:, None, :]
    tasks = np.full((len(configs) * 51, 1), number, np.int32)
    found = _session().run(None, {"x_cat": tasks, "x_cont": inputs.reshape(-1, 8)})[0][:, 2]
    result: NDArray[np.float32] = np.maximum(found.reshape(-1, 51), 1e-3)
    return result


@cache
def _session() -> Any:
    import onnxruntime

    if not SURROGATE.is_file():
        raise FileNotFoundError(f"{SURROGATE} is missing: without it only tables can be searched")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(SURROGATE), options)


@cache
def table(name: str) -> Problem:
    """The curves in `results/curves_NAME.parquet`."""
    import pandas as pd

    path = TABLES / f"{name}.yaml"
    # A folder with images is needed to make the table, not to search it.
    instead = [f"data={{name: {name}}}"] if read_tree(path)["experiment"]["data"]["name"] == "folder" else []
    spec = load_search(str(path), instead)
    frame = pd.read_parquet(RESULTS / f"curves_{name}.parquet")
    curves: dict[str, list[float]] = {}
    rows = []
    for _, epochs in frame.groupby("config"):
        first = epochs.iloc[0]
        row = {field: domain.canonical(_plain(first[field])) for field, domain in spec.space.domains.items()}
        rows.append(spec.space.canonical(row))
        curves[config_key(rows[-1])] = epochs["val_loss"].fillna(np.inf).tolist()
    best = np.sort([min(curve) for curve in curves.values()])
    # Losses that were reached, since nothing between them can be: such as the tenth and the second best of 1,000.
    goals = tuple(float(best[max(int(share * len(best)) - 1, 0)]) for share in QUANTILES)
    return Problem(name, spec.space, spec.longest, goals, lambda config: curves[config_key(config)], tuple(rows))


class Live(Problem):
    """The search of a table in which each proposal is trained; what cannot be built stands for the nearest row."""

    def __init__(self, known: Problem, curve: Callable[[Config], Sequence[float]], check: Callable[[Config], Any]):
        super().__init__(f"live-{known.name}", known.space, known.epochs, known.goals, curve)
        self._known, self._check = known, check

    def place(self, config: Config, taken: set[str]) -> Config | None:
        return self._known.place(config, taken) if self._check(config) is None else config


class Trained(Sequence[float]):
    """The losses of a training that goes on for as long as somebody asks for the next one."""

    def __init__(self, training: Any) -> None:
        self._training, self._losses = training, list[float]()

    def __len__(self) -> int:
        return len(self._losses)

    def __getitem__(self, index: Any) -> Any:
        while len(self._losses) <= index:
            loss = self._training.run_epoch().to_dict()["val_loss"]
            self._losses.append(math.inf if loss is None else float(loss))
            if self._training.end is not None:
                self._training = None  # its weights would fill the memory
        return self._losses[index]


def live(name: str) -> Problem:
    """The space and the targets of a table; the images of MNIST and CIFAR-10 are where `$IMAGETUNE_DATA` says."""
    from tests.benchmarks.curve_tables import feasibility, training_of
    from tune.spec import data_root

    root = data_root(None)
    return Live(table(name), lambda config: Trained(training_of(name, root, (), config)), feasibility(name, root, ()))


def _plain(value: Any) -> Any:
    """A value as Python has it: parquet gives NumPy's."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
