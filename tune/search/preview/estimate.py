"""The estimate that a search records once it has trained its first epochs, to stand beside what it took."""

from __future__ import annotations

import random
import statistics
from typing import Any

from tune.record.search_status import ESTIMATE
from tune.search.ledger import Ledger
from tune.search.preview.expected import expected
from tune.search.samplers.grid import grid_of

FIRST = 3  # epochs from which the time of one is known
DRAWS = 100  # configurations whose epochs are looked at


class Estimate:
    """Records what a search is expected to take, once it is known how long an epoch is."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._noted = ledger, False

    def update(self) -> None:
        """To be called after an epoch."""
        if self._noted or self._ledger.epochs_spent < FIRST:
            return
        self._noted = True
        grid = grid_of(self._ledger.spec.space, self._ledger.spec.search.sampler)
        trials = self._ledger.target if grid is None else min(self._ledger.target, grid.size)
        if self._ledger.record.facts.get(ESTIMATE, {}).get("trials") != trials:  # else it is recorded
            self._ledger.record.note(ESTIMATE, _estimate(self._ledger, trials))


def _estimate(ledger: Ledger, trials: int) -> dict[str, Any]:
    spec, source = ledger.spec, random.Random(0)
    drawn = [spec.space.draw(source) for _ in range(DRAWS)] if "training.epochs" in spec.space.domains else []
    lengths = [min(config.get("training.epochs", spec.sample.training.epochs), spec.longest) for config in drawn]
    will = expected(spec, trials, len(ledger.live), lengths, rounds=3)
    each = statistics.fmean(epoch.seconds for trial in ledger.trials.values() for epoch in trial.epochs)
    seconds = round(each * will.epochs, 1)
    return {"trials": trials, "epochs": round(will.epochs), "most": will.most, "seconds": seconds}
