"""Searches with three seeds per trial, on tabulated curves."""

from __future__ import annotations

import math
from pathlib import Path

from search_spaces import Config
from tests.tune.search.simulation import SPACE, Simulation, metrics, noise, spec_of
from tune.search.worker.messages import Report
from tune.spec.search import SearchSpec

LENGTH = 4
SHORT = (
    f"search.seeds=3 search.trials=5 training.epochs={LENGTH} search.scheduler.max_t={LENGTH} "
    "search.scheduler.reduction_factor=2"
).split()
NONE = "search.scheduler={name: none}"
PROMOTION = "search.scheduler.type=promotion"
SEVERAL = SPACE.replace("metric: val_loss", "objectives: [{metric: val_loss}, {metric: val_accuracy}]")
KINDS = {
    "stopping": (SPACE, []),
    "gp": (SPACE, [PROMOTION, "search.sampler={name: gp, startup: 3}"]),
    "objectives": (SEVERAL, [PROMOTION, "search.sampler.name=random"]),
    "none": (SPACE, [NONE]),
}


def short(folder: Path, *overrides: str, text: str = SPACE) -> SearchSpec:
    """A search of short trials with three seeds; `overrides` replace settings of the same name."""
    given = {override.partition("=")[0]: override for override in (*SHORT, *overrides)}
    if NONE in overrides:
        given = {name: override for name, override in given.items() if not name.startswith("search.scheduler.")}
    return spec_of(folder, text, *given.values())


def first_loss(trial: int, epoch: int) -> float:
    return 1 + noise(trial) + 1 / epoch


def curve(trial: int, config: Config, epoch: int) -> Report:
    return Report((metrics(epoch, first_loss(trial, epoch)),), "epochs" if epoch == LENGTH else None)


def shifted(trial: int, config: Config, epoch: int, seed: int) -> Report:
    """The curve of the first seed, up to .1 better or worse; the second seed of trial 0 diverges."""
    if (trial, seed, epoch) == (0, 1, 2):
        return Report((metrics(epoch, math.nan),), "diverged")
    loss = first_loss(trial, epoch) + 0.2 * noise(trial, seed) - 0.1
    return Report((metrics(epoch, loss),), "epochs" if epoch == LENGTH else None)


def simulation(spec: SearchSpec, folder: Path) -> Simulation:
    return Simulation(spec, folder, curve, files=True, replicate=shifted)


def finished(tmp_path: Path, *overrides: str, workers: int = 1) -> Simulation:
    found = simulation(short(tmp_path, *overrides), tmp_path / "s")
    found.run(workers)
    return found
