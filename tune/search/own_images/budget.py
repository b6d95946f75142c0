"""How many trials, and for how many epochs, a search on this machine has time for."""

from __future__ import annotations

import math
from typing import Any

import torch

from data.files import cores
from data.folder.survey import Survey
from tune.spec import Experiment

STEPS = 4_000  # that a training takes, about, if its epochs are within their limits
EPOCHS = (5, 50)
TRIALS = (10, 60)
BUDGET = 3600.0  # seconds that a search is to take


def resources(device: torch.device) -> dict[str, Any]:
    """Fields of the section `search` that follow from the machine; the number of trials is the fewest."""
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    concurrent = min(cores(), 2 * gpus) if gpus else cores()
    return {"trials": TRIALS[0], "concurrent": concurrent, "resources": {"cpu": 1, "gpu": "auto" if gpus else 0}}


def fill_in_budget(
    tree: dict[str, Any], found: Survey, experiment: Experiment, epoch: float, device: torch.device
) -> tuple[int, int, float]:
    """Fill in epochs and trials; with the longest trial's epochs, and the seconds that the search takes."""
    steps = math.ceil(found.train_size / experiment.training.batch_size)
    epochs = min(max(round(STEPS / steps), EPOCHS[0]), EPOCHS[1])
    workers = torch.cuda.device_count() if device.type == "cuda" else tree["search"]["concurrent"]

    def seconds(trials: int, epochs: int) -> float:
        return trials * epoch * expected_epochs(epochs) / workers

    if (most := seconds(TRIALS[0], epochs)) > BUDGET:
        epochs = max(EPOCHS[0], int(epochs * BUDGET / most))
    trials = min(max(int(TRIALS[0] * BUDGET / max(seconds(TRIALS[0], epochs), 1e-9)), TRIALS[0]), TRIALS[1])
    if "training.epochs" not in tree["space"]:
        tree["experiment"]["training"]["epochs"] = epochs
        tree["search"]["scheduler"] = {
            "name": "asha",
            "max_t": epochs,
            "grace_period": grace_period(epochs),
            "reduction_factor": 3,
        }
    tree["search"]["trials"] = trials
    return epochs, trials, seconds(trials, epochs)


def grace_period(epochs: int) -> int:
    """Epochs of every trial: with a reduction factor of 3, most trials end after a ninth of the longest."""
    return max(1, epochs // 9)


def expected_epochs(epochs: int) -> float:
    """Of a trial under ASHA of type promotion, which continues a third at each rung."""
    expected, reached, share = 0.0, 0, 1.0
    rung = grace_period(epochs)
    while reached < epochs:
        expected += share * (min(rung, epochs) - reached)
        reached, rung, share = min(rung, epochs), 3 * rung, share / 3
    return expected


def duration(seconds: float) -> str:
    """A time to one figure or two: 0.04 s, 4.2 s, 25 min, 3.1 h."""
    if seconds < 0.095:
        return f"{max(seconds, 0.01):.2f} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
